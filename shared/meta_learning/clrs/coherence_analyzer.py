"""Coherence: do alike questions get alike scores, and do answers stay when nothing that matters changed?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np

from meta_learning.clrs.coherence.counted import CountedShare
from meta_learning.clrs.coherence.diversity import diversity
from meta_learning.clrs.coherence.neighbours import NEIGHBOURS, neighbour_agreement
from meta_learning.clrs.coherence.words import HashedPairs, weighted
from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.gating.gates import count_negative_flips
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.clrs.statistics import Moments

EVENTS_MIN = 100
Z = 1.96
PERTURBATIONS_MAX = 16
Bounds = tuple[float, float, float]  # low, middle, high


class CoherenceAnalyzer:
    """Geometric mean of three parts over the last ``batches_max`` batches; a part that is not known is left out.

    | part | what it is |
    |---|---|
    | neighbours | 1 - (score difference to the three nearest pairs) / (to any pair of the batch): 0 is chance, 1 is exact |
    | perturbations | share of probe answers that keep their side when the input is changed a little, mean over the changes |
    | kept | 1 - negative flips: probe items that the previous champion had right and this one has not |

    Negative flips are those of positive-congruent training (arXiv 2011.09161). The interval takes the lower ends of all
    parts together, and the upper ends: it is wider than 95 % at one look. Diversity of the outputs is reported apart,
    because a collapsed model is perfectly consistent; while all predictions are equal there is no score.

    >>> analyzer = CoherenceAnalyzer()
    >>> pairs = [("good film" if n % 2 else "bad meal", "ok") for n in range(100)]
    >>> analyzer.update(pairs, predictions=np.array([0.9 if n % 2 else 0.1 for n in range(100)]))
    >>> analyzer.score()
    1.0
    """

    def __init__(self, batches_max: int = 10) -> None:
        self.batches_max = batches_max
        self._near: list[Moments] = []  # 1 - (difference to neighbours) / (mean difference to all), per event
        self._flips = CountedShare(batches_max)
        self._perturbed: dict[str, CountedShare] = {}
        self._last_answers: list[float] = []
        self._diversity: dict[str, float | None] = {}

    def update(
        self,
        pairs: Sequence[Pair],
        predictions: Floats | None = None,
        probe_answers: Floats | None = None,
        probe_scores: Floats | None = None,
        probe_perturbed: Mapping[str, Sequence[float]] | None = None,
        hashed: HashedPairs | None = None,
    ) -> None:
        """Fold one batch: its pairs, the champion's predictions for them, and its answers on the fixed probe.

        ``probe_perturbed``: by the name of a perturbation, its answers on the first items of the probe with perturbed
        inputs. ``hashed``: the words of ``pairs``, where somebody has them already.
        """
        words = HashedPairs.of(pairs) if hashed is None else hashed
        outputs = weighted(words.outputs)
        self._diversity = diversity([output for _, output in pairs], outputs)
        if predictions is not None and len(pairs) > NEIGHBOURS + 1:
            near = neighbour_agreement([weighted(words.inputs), outputs], predictions)
            if near is not None:
                self._near = [*self._near, near][-self.batches_max :]
        if probe_answers is not None and probe_scores is not None:
            self._count_flips(probe_answers, probe_scores)
        if probe_answers is not None:
            self._count_perturbed(probe_answers, probe_perturbed or {})

    def _count_flips(self, answers: Floats, scores: Floats) -> None:
        shared = min(len(self._last_answers), len(answers), len(scores))
        if shared:
            before = np.array(self._last_answers[:shared])
            self._flips.add(count_negative_flips(before, answers[:shared], scores[:shared]), shared)
        self._last_answers = answers.tolist()

    def _count_perturbed(self, answers: Floats, perturbed: Mapping[str, Sequence[float]]) -> None:
        for name, changed in list(perturbed.items())[:PERTURBATIONS_MAX]:
            shared = min(len(answers), len(changed))
            if shared and (name in self._perturbed or len(self._perturbed) < PERTURBATIONS_MAX):
                same = (answers[:shared] >= 0.5) == (np.asarray(changed[:shared]) >= 0.5)
                self._perturbed.setdefault(name, CountedShare(self.batches_max)).add(int(same.sum()), shared)

    @property
    def diversity(self) -> dict[str, float | None]:
        """Of the last batch's outputs."""
        return dict(self._diversity)

    def score(self) -> float | None:
        """Coherence; None below 100 events, or while all predictions are equal."""
        current = self.result()["current"]
        return None if current is None else float(current)

    def result(self) -> dict[str, Any]:
        """The score with n, interval and its parts, and the diversity of the last batch's outputs."""
        near = sum(self._near, start=Moments())
        parts = [self._neighbours(near), self._perturbations(), self._kept()]
        known = [part for part in parts if part is not None]
        estimate = Estimate.collecting(near.count)
        if parts[0] is not None:
            low, middle, high = (math.prod(bounds) ** (1.0 / len(known)) for bounds in zip(*known, strict=True))
            estimate = Estimate.of(middle, near.count, low, high)
        return {
            **estimate.as_dict(),
            "neighbours": None if parts[0] is None else near.mean,
            "perturbations": None if parts[1] is None else parts[1][1],
            "by_perturbation": {name: share.value for name, share in self._perturbed.items()},
            "negative_flip_rate": self._flips.value,
            "diversity": self.diversity,
        }

    @staticmethod
    def _neighbours(near: Moments) -> Bounds | None:
        if near.count < EVENTS_MIN:
            return None
        low, middle, high = (min(max(near.mean + z * near.error, 0.0), 1.0) for z in (-Z, 0.0, Z))
        return low, middle, high

    def _perturbations(self) -> Bounds | None:
        known = [(share.bounds[0], share.value or 0.0, share.bounds[1]) for share in self._perturbed.values()]
        if not known:
            return None
        low, middle, high = (math.fsum(column) / len(known) for column in zip(*known, strict=True))
        return low, middle, high

    def _kept(self) -> Bounds | None:
        rate = self._flips.value
        if rate is None:
            return None
        low, high = self._flips.bounds
        return 1.0 - high, 1.0 - rate, 1.0 - low

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "near": [asdict(part) for part in self._near],
            "flips": self._flips.batches,
            "perturbed": {name: share.batches for name, share in self._perturbed.items()},
            "last_answers": self._last_answers,
            "diversity": self._diversity,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        analyzer = cls(**config)
        analyzer._near = [Moments(**part) for part in state["near"]]
        analyzer._flips.batches = [(hits, count) for hits, count in state["flips"]]
        for name, batches in state["perturbed"].items():
            analyzer._perturbed[name] = CountedShare(analyzer.batches_max, [(hits, count) for hits, count in batches])
        analyzer._last_answers, analyzer._diversity = list(state["last_answers"]), dict(state["diversity"])
        return analyzer
