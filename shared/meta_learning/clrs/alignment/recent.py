"""The last thousand judged predictions: are they calibrated, and how far do users differ from each other?"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.port import Floats

EVENTS_MAX = 1000
EVENTS_MIN = 100
BINS = 15
USERS_MIN = 5
STEPS = 65_535  # predictions and scores are kept in sixteen bits each


class RecentEvents:
    """A ring of (prediction, score, user) in 6 bytes an event.

    >>> recent = RecentEvents()
    >>> recent.update(np.full(200, 0.5), np.tile([0.0, 1.0], 100), [None] * 200)
    >>> round(recent.brier(), 3), recent.calibration_error()
    (0.25, 0.0)
    """

    def __init__(self) -> None:
        self._rows: NDArray[np.uint16] = np.zeros((0, 3), dtype=np.uint16)

    def update(self, predicted: Floats, true: Floats, users: Sequence[str | None]) -> None:
        """Fold a batch."""
        named = [0 if user is None else 1 + zlib.crc32(user.encode()) % (STEPS - 1) for user in users]
        batch = np.column_stack([np.rint(predicted * STEPS), np.rint(true * STEPS), named]).astype(np.uint16)
        self._rows = np.concatenate([self._rows, batch])[-EVENTS_MAX:]

    def _columns(self) -> tuple[Floats, Floats, NDArray[np.uint16]]:
        return self._rows[:, 0] / STEPS, self._rows[:, 1] / STEPS, self._rows[:, 2]

    def brier(self) -> float | None:
        """Mean squared difference of prediction and score; None below 100 events."""
        predicted, true, _ = self._columns()
        return float(np.mean((predicted - true) ** 2)) if len(true) >= EVENTS_MIN else None

    def calibration_error(self) -> float | None:
        """Calibration error over 15 bins of equal mass, less what chance adds to it; None below 100 events.

        Root mean square of the bins' gaps, each square less the variance of its gap: the debiased estimator of Bröcker
        (2012) that Kumar et al. (2019, "Verified Uncertainty Calibration") recommend. The plain mean of absolute gaps is .04
        for a perfectly calibrated model at 1,000 events.
        """
        predicted, true, _ = self._columns()
        if len(true) < EVENTS_MIN:
            return None
        squares = []
        for part in np.array_split(np.argsort(predicted, kind="stable"), BINS):
            gaps = true[part] - predicted[part]
            squares.append((float(gaps.mean()) ** 2 - float(gaps.var(ddof=1)) / len(part)) * len(part))
        return math.sqrt(max(math.fsum(squares) / len(true), 0.0))

    def disagreement(self) -> float | None:
        """Share of the residuals' variance that lies between users (one-way random effects); None below 5 users heard twice.

        0: whatever the model gets wrong, it gets wrong for all alike; 1: each user has a scale or a taste of their own.
        """
        predicted, true, users = self._columns()
        named, owner, heard = np.unique(users, return_inverse=True, return_counts=True)
        often = (named > 0) & (heard >= 2)
        chosen = often[owner]
        if often.sum() < USERS_MIN:
            return None
        residuals = (true - predicted)[chosen]
        counts = heard[often]
        sums = np.bincount(owner[chosen], weights=residuals, minlength=len(named))[often]
        total, groups = len(residuals), len(counts)
        between = (math.fsum(sums * sums / counts) - residuals.sum() ** 2 / total) / (groups - 1)
        inside = (math.fsum(residuals * residuals) - math.fsum(sums * sums / counts)) / max(total - groups, 1)
        usual = (total - float((counts * counts).sum()) / total) / (groups - 1)
        share = max((between - inside) / usual, 0.0)
        return float(share / (share + inside)) if share + inside > 0 else 0.0

    def state(self) -> str:
        """Compressed base64 text."""
        return base64.b64encode(zlib.compress(self._rows.astype("<u2").tobytes(), 1)).decode()

    @classmethod
    def from_state(cls, state: str) -> Self:
        """Read `state` back."""
        recent = cls()
        plain = zlib.decompress(base64.b64decode(state))
        recent._rows = np.frombuffer(plain, dtype="<u2").reshape(-1, 3).astype(np.uint16)
        return recent
