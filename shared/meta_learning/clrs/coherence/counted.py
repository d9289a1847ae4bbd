"""A share over the last batches, each a pair of counts, with its interval."""

from __future__ import annotations

from dataclasses import dataclass, field

from meta_learning.clrs.statistics import wilson

Z = 1.96


@dataclass(slots=True)
class CountedShare:
    """Hits and trials of the last batches.

    >>> share = CountedShare(batches_max=2)
    >>> for hits in (9, 1, 2):
    ...     share.add(hits, 10)
    >>> share.value
    0.15
    """

    batches_max: int
    batches: list[tuple[int, int]] = field(default_factory=list)

    def add(self, hits: int, trials: int) -> None:
        """Fold one batch; the oldest falls out."""
        self.batches = [*self.batches, (hits, trials)][-self.batches_max :]

    @property
    def trials(self) -> int:
        """Of all batches."""
        return sum(trials for _, trials in self.batches)

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return sum(hits for hits, _ in self.batches) / self.trials if self.trials else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        return wilson(self.value or 0.0, self.trials, Z)
