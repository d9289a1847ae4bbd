"""Which strategy next: a bandit that forgets, and that pays for what a strategy costs."""

from __future__ import annotations

import random
from collections.abc import Sequence

DISCOUNT = 0.9


class StrategyBandit:
    """Thompson sampling (Thompson, 1933) over Beta beliefs, each strategy once before.

    >>> bandit = StrategyBandit(["ablation", "merge"])
    >>> [bandit.choose(["ablation", "merge"], random.Random(0)) for _ in range(1)]
    ['ablation']
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._beliefs = {name: [1.0, 1.0] for name in names}
        self._tried: set[str] = set()

    def choose(self, ready: Sequence[str], rng: random.Random) -> str:
        """One of the strategies that have something to work with: an untried one in their order, else a likely one."""
        untried = [name for name in ready if name not in self._tried]
        if untried:
            return untried[0]
        return max(ready, key=lambda name: rng.betavariate(*self._beliefs[name]))

    @property
    def tried(self) -> frozenset[str]:
        """The strategies that had their turn."""
        return frozenset(self._tried)

    def reward(self, name: str, success: float, calls: int, typical_calls: int) -> None:
        """Fold a strategy's success in [0, 1]; a dear success counts for less, and old ones fade."""
        self._tried.add(name)
        for belief in self._beliefs.values():
            belief[0] = 1.0 + DISCOUNT * (belief[0] - 1.0)
            belief[1] = 1.0 + DISCOUNT * (belief[1] - 1.0)
        paid = success / max(1.0, calls / max(1, typical_calls))
        self._beliefs[name][0] += paid
        self._beliefs[name][1] += 1.0 - paid

    def reset(self) -> None:
        """Forget what paid: after a restart other strategies may."""
        for belief in self._beliefs.values():
            belief[:] = [1.0, 1.0]

    @property
    def beliefs(self) -> dict[str, float]:
        """The expected success of each strategy."""
        return {name: round(won / (won + lost), 4) for name, (won, lost) in self._beliefs.items()}
