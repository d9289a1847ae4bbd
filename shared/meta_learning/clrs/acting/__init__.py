"""Acting on what was learnt: which candidate to show, with what probability, and how to remember that.

A `policies` object turns scores into probabilities; `choosing` draws from them, the same draw for the same cause;
`record` is what travels with the feedback, so that learning and off-policy estimates know how likely it was.
"""

from meta_learning.clrs.acting.choosing import Cause, Choice, choose, probabilities_of, uniform_of
from meta_learning.clrs.acting.policies import DEFAULT, EpsilonGreedy, Greedy, Policy, Softmax, SquareCB, policy_named
from meta_learning.clrs.acting.record import ACTING_KEY, Shown, shown_of, weight_of

__all__ = [
    "ACTING_KEY",
    "DEFAULT",
    "Cause",
    "Choice",
    "EpsilonGreedy",
    "Greedy",
    "Policy",
    "Shown",
    "Softmax",
    "SquareCB",
    "choose",
    "policy_named",
    "probabilities_of",
    "shown_of",
    "uniform_of",
    "weight_of",
]
