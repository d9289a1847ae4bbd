"""How scores become the probabilities with which candidates are shown: exploitation with a known amount of exploration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.errors import ConfigurationError


class Policy(Protocol):
    """A rule for showing one of several candidates."""

    def probabilities(self, scores: Floats, learnt_count: int) -> Floats:
        """One probability a candidate, of the shape of ``scores`` (at least one); they sum to 1.

        ``learnt_count``: pieces of feedback behind the scores; a rule may explore less the more there are.
        """


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigurationError(f"{name} must lie in [{low:g}, {high:g}]")


@dataclass(frozen=True, slots=True)
class Greedy:
    """No exploration: the best candidate, always; of equal ones the first.

    >>> Greedy().probabilities(np.array([0.2, 0.9]), 0).tolist()
    [0.0, 1.0]
    """

    def probabilities(self, scores: Floats, learnt_count: int) -> Floats:
        """1 for the best, 0 for the others."""
        shares = np.zeros(len(scores))
        shares[int(np.argmax(scores))] = 1.0
        return shares


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """The best candidate, but with probability ``epsilon`` any candidate.

    >>> EpsilonGreedy(0.1).probabilities(np.array([0.2, 0.9]), 0).round(3).tolist()
    [0.05, 0.95]
    """

    epsilon: float = 0.05

    def __post_init__(self) -> None:
        _check("epsilon", self.epsilon, 0.0, 1.0)

    def probabilities(self, scores: Floats, learnt_count: int) -> Floats:
        """At least ``epsilon / len(scores)`` for each."""
        shares = np.full(len(scores), self.epsilon / len(scores))
        shares[int(np.argmax(scores))] += 1.0 - self.epsilon
        return shares


@dataclass(frozen=True, slots=True)
class SquareCB:
    """Inverse gap weighting (Foster & Rakhlin 2020, arXiv 2002.04926): the worse a candidate looks, the rarer it is shown.

    With n candidates and ``gamma = scale * learnt_count ** exponent``, a candidate that scores ``gap`` below the best has
    probability ``1 / (n + gamma * gap)``; the best has the rest. Before anything is learnt all are equally likely.

    >>> SquareCB(scale=10.0).probabilities(np.array([0.5, 0.9]), 0).tolist()
    [0.5, 0.5]
    >>> SquareCB(scale=10.0).probabilities(np.array([0.5, 0.9]), 400).round(3).tolist()
    [0.012, 0.988]
    """

    scale: float = 1000.0
    exponent: float = 0.5

    def __post_init__(self) -> None:
        _check("scale", self.scale, 0.0, 1e9)
        _check("exponent", self.exponent, 0.0, 2.0)

    def probabilities(self, scores: Floats, learnt_count: int) -> Floats:
        """Positive for each."""
        gamma = self.scale * float(max(learnt_count, 0)) ** self.exponent
        best = int(np.argmax(scores))
        shares = np.asarray(1.0 / (len(scores) + gamma * (scores[best] - scores)), dtype=np.float64)
        shares[best] = 0.0
        shares[best] = 1.0 - float(shares.sum())
        return shares


@dataclass(frozen=True, slots=True)
class Softmax:
    """Probabilities proportional to ``exp(score / temperature)`` (Boltzmann exploration).

    >>> Softmax(0.1).probabilities(np.array([0.5, 0.5]), 0).tolist()
    [0.5, 0.5]
    """

    temperature: float = 0.05

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 1e-3, 1e3)

    def probabilities(self, scores: Floats, learnt_count: int) -> Floats:
        """Positive for all within about 700 temperatures of the best."""
        raised = np.exp((scores - scores.max()) / self.temperature)
        return np.asarray(raised / raised.sum(), dtype=np.float64)


DEFAULT: Policy = SquareCB()
_NAMED: dict[str, Callable[..., Policy]] = {
    "greedy": Greedy,
    "epsilon_greedy": EpsilonGreedy,
    "squarecb": SquareCB,
    "softmax": Softmax,
}


def policy_named(text: str) -> Policy:
    """The policy of a setting: a name, and after a colon its strength where another than the default is wanted.

    >>> policy_named("epsilon_greedy:0.2"), policy_named("greedy")
    (EpsilonGreedy(epsilon=0.2), Greedy())

    Raises:
        ConfigurationError: no such policy, or a strength that it does not take.
    """
    name, _, strength = text.strip().partition(":")
    if name not in _NAMED or (strength and name == "greedy"):
        raise ConfigurationError(f"exploration is {', '.join(_NAMED)}, the last three also with a number: squarecb:20")
    try:
        return _NAMED[name](float(strength)) if strength else _NAMED[name]()
    except ValueError:
        raise ConfigurationError(f"exploration {name} takes a number after the colon") from None
