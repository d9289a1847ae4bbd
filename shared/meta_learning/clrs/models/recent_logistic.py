"""A logistic calibration on few features, refitted to the last rows that were answered before they were learnt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meta_learning.clrs.models.port import Floats

ITERATIONS = 12


@dataclass(slots=True)
class RecentLogistic:
    """Keeps the newest ``count_max`` rows of (features, score, weight); older ones count for less.

    What it saw are the features of a model *before* it learnt the row, so that what it says holds for new rows. Ridge on
    the slopes, not on the level. Constant memory: ``count_max`` rows of ``width + 2`` float64.

    >>> calibration = RecentLogistic.empty(width=1)
    >>> calibration.add(np.array([[-1.0], [1.0]] * 50), np.array([0.2, 0.8] * 50), np.ones(100))
    >>> low, high = calibration.scores(np.array([[-1.0], [1.0]]))
    >>> bool(abs(low - 0.2) < 0.02 and abs(high - 0.8) < 0.02)
    True
    """

    rows: Floats  # (n, width + 2): features, score, weight; oldest first
    count_max: int = 400
    half_life: float = 150.0
    ridge: float = 1.0
    _fitted: Floats | None = None

    @classmethod
    def empty(cls, width: int) -> RecentLogistic:
        """Knows nothing, and says 0.5."""
        return cls(np.zeros((0, width + 2)))

    def add(self, features: Floats, scores: Floats, weights: Floats) -> None:
        """Take rows in, oldest first."""
        fresh = np.column_stack([features, scores, weights])
        self.rows = np.concatenate([self.rows, fresh])[-self.count_max :]
        self._fitted = None

    def scores(self, features: Floats) -> Floats:
        """Expected scores in [0, 1] for rows of features."""
        if not len(self.rows):
            return np.full(len(features), 0.5)
        if self._fitted is None:
            self._fitted = self._fit()
        return _sigmoid(_with_level(features / self._scale()) @ self._fitted)

    def _scale(self) -> Floats:
        return np.asarray(np.sqrt((self.rows[:, :-2] ** 2).mean(axis=0)) + 1e-9)

    def _fit(self) -> Floats:
        """Newton's method on the weighted log loss; a handful of features, so exact and quick."""
        age = np.arange(len(self.rows))[::-1]
        features, scores = _with_level(self.rows[:, :-2] / self._scale()), self.rows[:, -2]
        weights = self.rows[:, -1] * 0.5 ** (age / self.half_life)
        penalty = np.full(features.shape[1], self.ridge)
        penalty[0] = 1e-3
        found = np.zeros(features.shape[1])
        for _ in range(ITERATIONS):
            said = _sigmoid(features @ found)
            slope = features.T @ (weights * (said - scores)) + penalty * found
            bend = (features * (weights * np.maximum(said * (1.0 - said), 1e-4))[:, None]).T @ features
            found = found - np.linalg.solve(bend + np.diag(penalty), slope)
        return found

    def copy(self) -> RecentLogistic:
        """A twin."""
        return RecentLogistic(self.rows.copy(), self.count_max, self.half_life, self.ridge, self._fitted)


def _with_level(features: Floats) -> Floats:
    return np.column_stack([np.ones(len(features)), features])


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0))))
