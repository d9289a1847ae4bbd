"""The evidence for a changed mean, over a geometric grid of change points, with the baseline's uncertainty inside."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BLOCK = 4  # losses that are looked at together: a quarter of the cost for a delay of one or two events
BUCKETS_A_SIZE = 4  # of each power of two; twice as many cost twice the time and find 3 % sooner
BUCKETS_MAX = 48  # 16,000 events; what is older joins the baseline
AFTER_MIN = 8  # events after a change point that is looked at
DISPERSION_MIN = 0.01


@dataclass
class ChangeStatistic:
    """Sums of losses: ``before`` all candidate moments, and since then in buckets, newest first, of sizes that double.

    The buckets are an exponential histogram (Datar et al. 2002); between two of them lies a candidate moment of the change.
    A sum is a float, or an array with one number for each of many streams: their sizes depend on the count alone.

    >>> statistic = ChangeStatistic(count_before=100, before=20.0, squares=20.0)
    >>> blocks = [statistic.add(1.0) for _ in range(16)]
    >>> rise, fall, ages = statistic.evidence()
    >>> int(ages[rise.argmax()]), float(fall.max())
    (16, 0.0)
    """

    count_before: float = 0.0
    before: Any = 0.0
    squares: Any = 0.0  # of all losses, the baseline's too
    sizes: list[int] = field(default_factory=list)
    sums: list[Any] = field(default_factory=list)
    pending: Any = 0.0
    pending_count: int = 0

    def add(self, loss: Any) -> bool:
        """Fold one loss; True when a block is full and the evidence is new."""
        self.pending, self.pending_count = self.pending + loss, self.pending_count + 1
        self.squares = self.squares + loss * loss
        if self.pending_count < BLOCK:
            return False
        self._insert(self.pending)
        self.pending, self.pending_count = 0.0, 0
        return True

    def _insert(self, block: Any) -> None:
        self.sizes.insert(0, BLOCK)
        self.sums.insert(0, block)
        last = BUCKETS_A_SIZE
        # One bucket of a size too many: its two oldest become one of the next size.
        while last < len(self.sizes) and self.sizes[last] == self.sizes[last - BUCKETS_A_SIZE]:
            self.sizes[last - 1 : last + 1] = [2 * self.sizes[last]]
            self.sums[last - 1 : last + 1] = [self.sums[last - 1] + self.sums[last]]
            last += BUCKETS_A_SIZE - 1
        if len(self.sizes) > BUCKETS_MAX:
            self.count_before += self.sizes.pop()
            self.before = self.before + self.sums.pop()

    @property
    def count(self) -> float:
        """Events in complete blocks and before."""
        return self.count_before + sum(self.sizes)

    def evidence(self) -> tuple[Numbers, Numbers, NDArray[np.int64]]:
        """For each candidate moment the evidence of a rise and of a fall since, and how many events ago it was.

        Both have shape (moments, ...streams) and are 0 where the other direction holds: the log likelihood ratio of two
        means against one, over the dispersion, plus the logarithm of the events since.
        """
        ages = np.cumsum(np.array(self.sizes, dtype=np.int64))
        after = np.cumsum(np.asarray(self.sums, dtype=np.float64), axis=0)
        total, count = self.before + after[-1], self.count_before + float(ages[-1])
        seen = ages >= AFTER_MIN
        ages, after = ages[seen], after[seen]
        n_after = ages.reshape(-1, *[1] * (after.ndim - 1)).astype(np.float64)
        n_before, before = count - n_after, total - after
        mean = total / count
        fit = _fit(after, n_after) + _fit(before, n_before)
        ratio = np.maximum(fit - _fit(total, count), 0.0) / self.dispersion(mean, count) + np.log(n_after)
        rose = after * n_before > before * n_after
        return np.where(rose, ratio, 0.0), np.where(rose, 0.0, ratio), ages

    def dispersion(self, mean: Any, count: float) -> Any:
        """Variance of the losses over that of 0/1 errors of the same mean: 1 for errors, less for graded losses."""
        variance = np.maximum(self.squares / max(count + self.pending_count, 1.0) - mean * mean, 0.0)
        return np.clip(variance / np.maximum(mean * (1.0 - mean), 1e-9), DISPERSION_MIN, 1.0)

    def restart(self, age: int) -> None:
        """Forget what lies more than ``age`` events back: the rest is the new baseline."""
        count, total = self.count, float(self.before + math.fsum(self.sums))
        mean = total / max(count, 1.0)
        spread = max(self.squares / max(count + self.pending_count, 1.0) - mean * mean, 0.0)
        kept = np.cumsum(self.sizes) <= age
        self.count_before = float(sum(size for size, held in zip(self.sizes, kept, strict=True) if held))
        self.before = math.fsum(part for part, held in zip(self.sums, kept, strict=True) if held)
        now = self.before / max(self.count_before, 1.0)
        # The spread around the mean is taken over; sums of squares are not kept by bucket.
        self.squares = (self.count_before + self.pending_count) * (spread + now * now)
        self.sizes, self.sums = [], []


def _fit(total: Any, count: Any) -> Any:
    """The largest log likelihood of ``total`` among ``count`` 0/1 events, 0 log 0 being 0."""
    share = np.clip(total / np.maximum(count, 1e-9), 1e-12, 1.0 - 1e-12)
    return total * np.log(share) + (count - total) * np.log1p(-share)
