"""Coherence: do alike questions get alike scores, and do answers that were right stay right? Diversity is told apart."""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np

from meta_learning.clrs.drift.text_drift import buckets_of, weighted
from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.gating.gates import count_negative_flips
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.clrs.statistics import BLOCK_ROWS, Moments

NEIGHBOURS = 3
EVENTS_MIN = 100
WORD = re.compile(r"\w+")


class CoherenceAnalyzer:
    """Geometric mean of neighbour coherence and of one minus the negative-flip rate, over the last ``batches_max`` batches.

    Neighbour coherence: 1 - (mean score difference to the three nearest pairs by the hashed words of both texts) / (mean
    difference to any pair of the batch, which is the permutation mean of the former). 0 is what chance gives, 1 is neighbours
    that agree exactly.
    Negative flips: probe items that the previous champion had right and this one has not. Diversity of the outputs
    (distinct-2, zlib ratio) is reported apart, because a collapsed model is perfectly consistent.
    Consistency under perturbed inputs needs the model itself and is not part of the score yet.

    >>> analyzer = CoherenceAnalyzer()
    >>> pairs = [("good film" if n % 2 else "bad meal", "ok") for n in range(100)]
    >>> analyzer.update(pairs, predictions=np.array([0.9 if n % 2 else 0.1 for n in range(100)]))
    >>> analyzer.score()
    1.0
    """

    def __init__(self, batches_max: int = 10) -> None:
        self.batches_max = batches_max
        self._near: list[Moments] = []  # 1 - (difference to neighbours) / (mean difference to all), per event
        self._flips: list[tuple[int, int]] = []
        self._last_answers: list[float] = []
        self._diversity: dict[str, float] = {}

    def update(
        self,
        pairs: Sequence[Pair],
        predictions: Floats | None = None,
        probe_answers: Floats | None = None,
        probe_scores: Floats | None = None,
    ) -> None:
        """Fold one batch: its pairs, the champion's predictions for them, and the champion's answers on the fixed probe."""
        self._diversity = diversity([output for _, output in pairs])
        if predictions is not None and len(pairs) > NEIGHBOURS + 1:
            near = neighbour_agreement(pairs, predictions)
            if near is not None:
                self._near = [*self._near, near][-self.batches_max :]
        if probe_answers is not None and probe_scores is not None:
            self._count_flips(probe_answers, probe_scores)

    def _count_flips(self, answers: Floats, scores: Floats) -> None:
        shared = min(len(self._last_answers), len(answers), len(scores))
        if shared:
            before = np.array(self._last_answers[:shared])
            flips = count_negative_flips(before, answers[:shared], scores[:shared])
            self._flips = [*self._flips, (flips, shared)][-self.batches_max :]
        self._last_answers = answers.tolist()

    def score(self) -> float | None:
        """Coherence; None below 100 events, or while all predictions are equal."""
        current = self.result()["current"]
        return None if current is None else float(current)

    def result(self) -> dict[str, Any]:
        """The score with n, interval and its parts, and the diversity of the last batch's outputs."""
        near = sum(self._near, start=Moments())
        judged = sum(count for _, count in self._flips)
        flip_rate = sum(flips for flips, _ in self._flips) / judged if judged else None
        kept = 1.0 - (flip_rate or 0.0)
        if near.count < EVENTS_MIN:
            return {**Estimate.collecting(near.count).as_dict(), **self._parts(None, flip_rate)}
        low, middle, high = (
            math.sqrt(kept * min(max(near.mean + z * near.error, 0.0), 1.0)) for z in (-1.96, 0.0, 1.96)
        )
        return {**Estimate.of(middle, near.count, low, high).as_dict(), **self._parts(near.mean, flip_rate)}

    def _parts(self, neighbours: float | None, flip_rate: float | None) -> dict[str, Any]:
        return {"neighbours": neighbours, "negative_flip_rate": flip_rate, "diversity": dict(self._diversity)}

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "near": [asdict(part) for part in self._near],
            "flips": [list(part) for part in self._flips],
            "last_answers": self._last_answers,
            "diversity": self._diversity,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        analyzer = cls(**config)
        analyzer._near = [Moments(**part) for part in state["near"]]
        analyzer._flips = [(flips, count) for flips, count in state["flips"]]
        analyzer._last_answers, analyzer._diversity = state["last_answers"], state["diversity"]
        return analyzer


def neighbour_agreement(pairs: Sequence[Pair], scores: Floats) -> Moments | None:
    """Per event, 1 - (difference to its nearest neighbours) / (mean difference of all); None when all scores are equal."""
    # Each field by itself, so that a one-word answer weighs as much as its question.
    fields = [weighted([buckets_of(text) for text in field]) for field in zip(*pairs, strict=True)]
    nearest, differences = np.zeros((len(pairs), NEIGHBOURS), dtype=np.int64), np.zeros(len(pairs))
    for start in range(0, len(pairs), BLOCK_ROWS):  # all pairs of a cycle of 10,000 at once would take gigabytes
        rows = np.arange(start, min(start + BLOCK_ROWS, len(pairs)))
        alike = sum((field[rows] @ field.T).toarray() for field in fields)
        alike[rows - start, rows] = -1.0
        nearest[rows] = np.argsort(-np.round(alike, 9), axis=1, kind="stable")[:, :NEIGHBOURS]
        differences[rows] = np.abs(scores[rows, None] - scores[None, :]).sum(axis=1)
    usual = math.fsum(differences) / (len(scores) * (len(scores) - 1))
    if usual < 1e-6:
        return None
    return Moments.of(1.0 - np.abs(scores[nearest] - scores[:, None]).mean(axis=1) / usual)


def diversity(outputs: Sequence[str]) -> dict[str, float]:
    """Share of distinct word pairs, and compressed over plain size: both fall when outputs repeat each other.

    >>> diversity(["a b c", "a b c"])["distinct_2"]
    0.5
    """
    words = [WORD.findall(output.lower()) for output in outputs]
    pairs = [pair for found in words for pair in itertools.pairwise(found)]
    plain = "\n".join(outputs).encode()
    return {
        "distinct_2": len(set(pairs)) / len(pairs) if pairs else 0.0,
        "zlib_ratio": min(len(zlib.compress(plain)) / len(plain), 1.0) if plain else 0.0,
    }
