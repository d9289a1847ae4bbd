"""Which strategy next: whichever promises most for a call, as far as its children so far tell."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from meta_learning.acla.racing.shrinkage import Gain

DISCOUNT = 0.9
# Believed of a strategy before it was tried: the mean gain of its children over who leads, how sure that is, and how far they lie
# apart. Most changes of a prompt harm.
USUAL_MEAN, USUAL_SD, USUAL_SPREAD = -0.02, 0.03, 0.04
# So many imagined children say how far they lie apart, and so many what one takes, with so many calls.
SPREAD_COUNT, COST_COUNT, CALLS_USUAL = 6.0, 3.0, 10.0
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Tried:
    """A child's gain over who leads now, and how many turns ago it was made."""

    gain: Gain
    age: int


class StrategyBandit:
    """Thompson sampling (Thompson, 1933) of what the next child is expected to improve on the leader (Mockus, 1975), for a call.

    A normal belief about the mean of a strategy's children, and their spread: where the best of many is sought, a strategy whose
    children differ widely is worth more than one whose children are all alike. Older children count for less. ``spreads``:
    how far children lie apart, by strategy, where that is known beforehand.

    >>> bandit = StrategyBandit(["ablation", "merge"])
    >>> bandit.choose(["ablation", "merge"], {}, random.Random(0))
    'ablation'
    """

    def __init__(self, names: Sequence[str], spreads: Mapping[str, float] | None = None) -> None:
        self._spreads = {name: (spreads or {}).get(name, USUAL_SPREAD) for name in names}
        self._calls: dict[str, float] = dict.fromkeys(names, COST_COUNT * CALLS_USUAL)
        self._children = dict.fromkeys(names, COST_COUNT)
        self._had_turn: set[str] = set()

    def choose(self, ready: Sequence[str], tried: Mapping[str, Sequence[Tried]], rng: random.Random) -> str:
        """One of the strategies that have something to work with: one that had no turn in their order, else by what was ``tried``."""
        new = [name for name in ready if name not in self._had_turn]
        return new[0] if new else max(ready, key=lambda name: self._drawn(name, tried.get(name, ()), rng))

    def paid(self, name: str, children: int, calls: float) -> None:
        """Note what a turn took until its children had stood on the first rung: what they take later is for being good.

        A turn without children took time at least: whoever finds nothing new any more has fewer and fewer turns.
        """
        self._had_turn.add(name)
        self._calls[name] += calls if children else max(CALLS_USUAL, calls)
        self._children[name] += children

    @property
    def had_turn(self) -> frozenset[str]:
        """The strategies that had their turn."""
        return frozenset(self._had_turn)

    def promises(self, tried: Mapping[str, Sequence[Tried]]) -> dict[str, float]:
        """By how much each strategy's next child is expected to be better than the leader; one that is worse counts as 0."""
        return {name: round(self._promise(name, tried.get(name, ())), 4) for name in self._spreads}

    def _promise(self, name: str, tried: Sequence[Tried]) -> float:
        mean, _ = _mean(tried, self._spreads[name])
        return expected_improvement(mean, _spread(tried, self._spreads[name]))

    def _drawn(self, name: str, tried: Sequence[Tried], rng: random.Random) -> float:
        drawn = rng.gauss(*_mean(tried, self._spreads[name]))
        promise = expected_improvement(drawn, _spread(tried, self._spreads[name]))
        return promise * self._children[name] / self._calls[name]


def expected_improvement(mean: float, spread: float) -> float:
    """What the better of a child and the leader is expected to be above the leader, with a gain of N(``mean``, ``spread``²).

    >>> round(expected_improvement(0.0, 0.05), 3), round(expected_improvement(-0.05, 0.05), 3)
    (0.02, 0.004)
    """
    z = mean / spread
    return spread * _NORMAL.pdf(z) + mean * _NORMAL.cdf(z)


def _noises(tried: Sequence[Tried]) -> list[float]:
    """The variance of each measured gain, by what an item's difference varies in all of them; infinite where nothing was asked.

    A few items on which nothing differs say nothing of it.
    """
    asked = sum(one.gain.count for one in tried)
    square = sum(one.gain.noise * one.gain.count**2 for one in tried if one.gain.count) / max(1, asked)
    return [square / one.gain.count if one.gain.count else math.inf for one in tried]


def _mean(tried: Sequence[Tried], spread: float) -> tuple[float, float]:
    """What is believed of the mean gain of a strategy's children: the most likely value, and its standard deviation."""
    weights = [DISCOUNT**one.age / (spread**2 + noise) for one, noise in zip(tried, _noises(tried), strict=True)]
    total = USUAL_SD**-2 + sum(weights)
    seen = sum(weight * one.gain.raw for weight, one in zip(weights, tried, strict=True))
    return (USUAL_MEAN * USUAL_SD**-2 + seen) / total, total**-0.5


def _spread(tried: Sequence[Tried], usual: float) -> float:
    """How far the children of a strategy lie apart, beyond the noise of what they were asked; who was asked little tells little."""
    mean, _ = _mean(tried, usual)
    square, count = SPREAD_COUNT * usual**2, SPREAD_COUNT
    for one, noise in zip(tried, _noises(tried), strict=True):
        weight = DISCOUNT**one.age * (usual**2 / (usual**2 + noise)) ** 2
        square += weight * max(0.0, (one.gain.raw - mean) ** 2 - noise)
        count += weight
    return math.sqrt(square / count)
