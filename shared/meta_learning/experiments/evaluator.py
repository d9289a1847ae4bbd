"""Everything that can be said about predictions, each number with an interval.

>>> from meta_learning.experiments.predictions import Prediction
>>> said = [Prediction(str(n), "yes" if n % 2 else "no", "yes", float(n % 2), confidence=0.9) for n in range(40)]
>>> report = evaluate(said, ("no", "yes"))
>>> report["accuracy"]["value"], round(report["macro_f1"]["value"], 3), round(report["calibration"]["error"], 2)
(0.5, 0.333, 0.4)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_learning.experiments.intervals import RESAMPLES_COUNT, Estimate, Floats, mean, proportion, resampled
from meta_learning.experiments.predictions import Prediction

UNREADABLE = "(unreadable)"
OTHER = "(other)"
BINS_COUNT = 10


def evaluate(predictions: Sequence[Prediction], labels: Sequence[str] = (), seed: int = 0) -> dict[str, Any]:
    """Accuracy, macro precision, recall and F1, calibration, confusion, segments, cost and latency, as plain JSON.

    What was refused is counted apart, and left out of the rest: missing is missing, never wrong. What needs ``labels``, a
    confidence, a price or a segment is None or empty without one. An unreadable answer is a wrong one.
    """
    answered = [one for one in predictions if one.refused is None]
    measured = {
        "accuracy": mean([one.score for one in answered], seed),
        "unreadable": proportion(sum(one.answer is None for one in answered), len(answered)),
        "refused": proportion(len(predictions) - len(answered), len(predictions)),
        "latency_s": mean([one.latency_s for one in answered if one.latency_s is not None], seed),
        "cost_usd": mean([one.cost_usd for one in answered if one.cost_usd is not None], seed),
        "tokens": mean([float(one.tokens) for one in answered], seed),
    }
    report: dict[str, Any] = {name: estimate.as_dict() for name, estimate in measured.items()}
    report |= {name: estimate.as_dict() for name, estimate in _macro(answered, labels, seed).items()}
    confusion = confusion_of(answered, labels) if labels else None
    return report | {
        "count": len(predictions),
        "confusion": confusion,
        "calibration": _calibration(answered, seed),
        "segments": _segments(answered, seed),
    }


def confusion_of(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, Any]:
    """Counts of expected (rows) against given answers (columns), with columns for what is no label, where that happened."""
    columns = [*labels, OTHER, UNREADABLE]
    counts = np.zeros((len(labels), len(columns)), dtype=np.int64)
    for one in predictions:
        if one.expected in labels:
            counts[list(labels).index(one.expected), columns.index(_column(one, labels))] += 1
    used = [index for index in range(len(columns)) if index < len(labels) or counts[:, index].any()]
    return {"matrix": counts[:, used].tolist(), "labels": list(labels), "answers": [columns[index] for index in used]}


def _column(one: Prediction, labels: Sequence[str]) -> str:
    if one.answer is None:
        return UNREADABLE
    by_case = {label.casefold(): label for label in labels}
    return by_case.get(one.answer.casefold(), OTHER)


def _macro(predictions: Sequence[Prediction], labels: Sequence[str], seed: int) -> dict[str, Estimate]:
    """Means over the labels; intervals by resampling the cells of the confusion, which is resampling the items."""
    names = ("macro_precision", "macro_recall", "macro_f1")
    if not labels or not predictions:
        return dict.fromkeys(names, Estimate(None, None, None, 0))
    matrix = np.asarray(confusion_of(predictions, labels)["matrix"])
    count = int(matrix.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, matrix.ravel() / count, size=RESAMPLES_COUNT).reshape(-1, *matrix.shape)
    values, samples = macro_scores(matrix[None])[0], macro_scores(drawn)
    lows, highs = np.quantile(samples, (0.025, 0.975), axis=0)
    return {
        name: Estimate(float(values[index]), float(lows[index]), float(highs[index]), count)
        for index, name in enumerate(names)
    }


def macro_scores(matrices: NDArray[np.int64]) -> Floats:
    """Macro precision, recall and F1 (last axis) of confusion matrices (first axis), as scikit-learn with ``zero_division=0``.

    >>> macro_scores(np.array([[[2, 1], [0, 3]]])).round(3).tolist()
    [[0.875, 0.833, 0.829]]
    """
    size = matrices.shape[1]
    hits = np.diagonal(matrices[:, :, :size], axis1=1, axis2=2).astype(np.float64)
    given, expected = matrices[:, :, :size].sum(axis=1), matrices.sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = np.nan_to_num(hits / given), np.nan_to_num(hits / expected)
        f1 = np.nan_to_num(2 * hits / (given + expected))
    return np.stack([precision.mean(axis=1), recall.mean(axis=1), f1.mean(axis=1)], axis=-1)


def _calibration(predictions: Sequence[Prediction], seed: int) -> dict[str, Any] | None:
    """Expected calibration error (Naeini et al., 2015) and Brier score of the confidence in the answer that was given."""
    pairs = np.array([(one.confidence, one.score) for one in predictions if one.confidence is not None])
    if not len(pairs):
        return None
    error = resampled(pairs, calibration_errors, seed)
    brier = resampled(pairs, lambda drawn: ((drawn[:, :, 0] - drawn[:, :, 1]) ** 2).mean(axis=1), seed)
    # Confidence in one's own answer is above chance by construction, so noise can only add to the error: its interval
    # says where the error of resampled items lies, and not where that of a perfect model would.
    return {
        "error": error.value,
        "error_interval": [error.low, error.high],
        "brier": brier.as_dict(),
        "bins": _bins(pairs),
    }


def calibration_errors(samples: Floats) -> Floats:
    """Of samples × items × (confidence, right): the gap between both, by bin, weighted by the items in it."""
    confidence, right = samples[:, :, 0], samples[:, :, 1]
    places = np.minimum((confidence * BINS_COUNT).astype(np.int64), BINS_COUNT - 1)
    # One count for all samples and bins at once: a loop over bins took ten passes over everything.
    cells = places + BINS_COUNT * np.arange(len(samples))[:, None]
    gaps = np.bincount(cells.ravel(), (confidence - right).ravel(), minlength=BINS_COUNT * len(samples))
    return np.asarray(np.abs(gaps.reshape(len(samples), BINS_COUNT)).sum(axis=1) / samples.shape[1])


def _bins(pairs: Floats) -> list[dict[str, Any]]:
    places = np.minimum((pairs[:, 0] * BINS_COUNT).astype(np.int64), BINS_COUNT - 1)
    bins = []
    for place in sorted(set(places.tolist())):
        inside = pairs[places == place]
        share = mean(inside[:, 1].tolist())
        bins.append(
            {"confidence": float(inside[:, 0].mean()), "accuracy": share.value, "low": share.low, "high": share.high}
            | {"count": len(inside)}
        )
    return bins


def _segments(predictions: Sequence[Prediction], seed: int) -> dict[str, Any]:
    by_name: dict[str, list[float]] = defaultdict(list)
    for one in predictions:
        if one.segment:
            by_name[one.segment].append(one.score)
    return {name: mean(scores, seed).as_dict() for name, scores in sorted(by_name.items())}
