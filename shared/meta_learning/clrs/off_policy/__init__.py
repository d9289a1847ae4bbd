"""What another policy or version would have earned, judged on feedback that the current one collected (off-policy estimates)."""

from meta_learning.clrs.off_policy.estimators import METHODS, OffPolicyEstimate, effective_sample_size, estimate
from meta_learning.clrs.off_policy.logged import Logged
from meta_learning.clrs.off_policy.replaying import Replayed, replayed, what_if
from meta_learning.datasets.recorded import feedback_of as logged_events

__all__ = [
    "METHODS",
    "Logged",
    "OffPolicyEstimate",
    "Replayed",
    "effective_sample_size",
    "estimate",
    "logged_events",
    "replayed",
    "what_if",
]
