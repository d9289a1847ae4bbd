"""From label log-probabilities to decisions: take away a prompt's leaning, then fit the threshold and the sharpness.

Small models order well and decide badly: the order is in the log-probabilities, the threshold is ours to set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meta_learning.acla.statistics import mcnemar_one_sided

Floats = npt.NDArray[np.float64]
Known = tuple[Mapping[str, float], str]

FITTED_COUNT_MIN = 20
FOLDS_COUNT = 5
# Of the sharpness around 1, and of each label's threshold around none: with few items the fit stays at batch calibration.
SHARPNESS_SD, THRESHOLD_SD = 0.7, 0.5
SHARPNESS_MIN = 0.05
STEPS_COUNT = 6
LEANING_P_MAX = 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """``bias`` is added to each label's log-probability before one is chosen; ``sharpness`` makes probabilities of the sums."""

    bias: Mapping[str, float]
    sharpness: float = 1.0

    def decision(self, logprobs: Mapping[str, float]) -> str:
        """The label that is chosen.

        >>> Calibration({"no": 0.5, "yes": 0.0}).decision({"no": -1.0, "yes": -0.7})
        'no'
        """
        return max(logprobs, key=lambda label: logprobs[label] + self.bias.get(label, 0.0))

    @property
    def nothing_said(self) -> Mapping[str, float]:
        """What stands in for the log-probabilities where the model mentions no label at all: all equal, so that the weights decide.

        Empty where there are no weights.
        """
        return dict.fromkeys(self.bias, 0.0)

    def probability(self, logprobs: Mapping[str, float], label: str) -> float:
        """The chance given to ``label``; 0 for one that was not asked for."""
        if label not in logprobs:
            return 0.0
        leaned = {one: self.sharpness * (value + self.bias.get(one, 0.0)) for one, value in logprobs.items()}
        top = max(leaned.values())
        return math.exp(leaned[label] - top) / sum(math.exp(value - top) for value in leaned.values())


UNCALIBRATED = Calibration({})


def fitted(known: Sequence[Known]) -> Calibration:
    """The calibration that fits ``known`` (log-probabilities, right label): batch calibration (Zhou et al., 2023) as the prior,
    multinomial Platt scaling (Platt, 1999) as the evidence comes in.

    >>> leaning = [({"no": -3.0, "yes": -0.5}, "yes"), ({"no": -2.0, "yes": -0.6}, "no")]
    >>> [fitted(leaning).decision(logprobs) for logprobs, _ in leaning]
    ['yes', 'no']
    """
    if not known:
        return UNCALIBRATED
    if len(known) < FITTED_COUNT_MIN:
        return levelled(known)
    labels, leaning, spread, scale = _standardised(known)
    right = np.array([[float(label == said) for label in labels] for _, said in known])
    sharpness, thresholds = _platt(spread / scale, right)
    bias = -leaning + scale * thresholds / sharpness
    return Calibration(dict(zip(labels, bias.tolist(), strict=True)), sharpness / scale)


def levelled(known: Sequence[Known]) -> Calibration:
    """Batch calibration alone: minus each label's mean log-probability. It sees no answers."""
    labels, leaning, _, scale = _standardised(known)
    return Calibration(dict(zip(labels, (-leaning).tolist(), strict=True)), 1.0 / scale)


def leans(pairs: Sequence[tuple[str | None, str]]) -> bool:
    """Whether a model says some label more often, or less often, than it is right (of said and right ones; exact McNemar,
    Bonferroni over the labels, at .05): then thresholds are likely to bring something.

    >>> leans([("yes", "yes"), ("no", "no")] * 10), leans([("yes", "no")] * 8 + [("no", "no")] * 8)
    (False, True)
    """
    labels = sorted({right for _, right in pairs})
    found = 1.0
    for label in labels:
        more = sum(said == label != right for said, right in pairs)
        less = sum(said != label == right for said, right in pairs)
        found = min(found, 2.0 * mcnemar_one_sided(max(more, less), min(more, less)) * len(labels))
    return found < LEANING_P_MAX


def folds_of(groups: Sequence[str]) -> list[int]:
    """The fold of each item: items of a group together, groups in turn.

    >>> folds_of(["a", "b", "a", "c"])
    [0, 1, 0, 2]
    """
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    return [places[group] % FOLDS_COUNT for group in groups]


def cross_fitted(known: Sequence[Known], folds: Sequence[int] | None = None) -> list[Calibration]:
    """For each fold the calibration fitted on the others, so that no item is judged by a threshold that saw its answer.

    ``folds``: of each item (`folds_of`); by default each is a group of its own. With few items nothing is fitted to answers, and
    all are equal.
    """
    if len(known) * (FOLDS_COUNT - 1) < FITTED_COUNT_MIN * FOLDS_COUNT:
        return [levelled(known) if known else UNCALIBRATED] * FOLDS_COUNT
    places = folds or [index % FOLDS_COUNT for index in range(len(known))]
    return [
        fitted([one for one, place in zip(known, places, strict=True) if place != fold]) for fold in range(FOLDS_COUNT)
    ]


def _standardised(known: Sequence[Known]) -> tuple[list[str], Floats, Floats, float]:
    """Labels, their mean log-probabilities, what is left beside the mean of each item, and the size of that."""
    labels = sorted(known[0][0])
    values = np.array([[logprobs[label] for label in labels] for logprobs, _ in known])
    leaning = values.mean(axis=0)
    centred = values - leaning
    spread = centred - centred.mean(axis=1, keepdims=True)
    return labels, leaning, spread, float(np.sqrt(np.mean(spread**2))) or 1.0


def _platt(features: Floats, right: Floats) -> tuple[float, Floats]:
    """Sharpness and thresholds at the mode of their posterior, by Newton's method. ``features``, ``right``: items × labels."""
    count, labels = features.shape
    design = np.concatenate([features[:, :, None], np.broadcast_to(np.eye(labels), (count, labels, labels))], axis=2)
    prior = np.array([1.0, *[0.0] * labels])
    precision = np.array([SHARPNESS_SD**-2, *[THRESHOLD_SD**-2] * labels])
    found = prior.copy()
    for _ in range(STEPS_COUNT):
        said = design @ found
        said = np.exp(said - said.max(axis=1, keepdims=True))
        said /= said.sum(axis=1, keepdims=True)
        slope = np.einsum("ik,ikd->d", said - right, design) + precision * (found - prior)
        mean = np.einsum("ik,ikd->id", said, design)
        curve = np.einsum("ik,ikd,ike->de", said, design, design) - mean.T @ mean + np.diag(precision)
        found = found - np.linalg.solve(curve, slope)
    return max(SHARPNESS_MIN, float(found[0])), found[1:]
