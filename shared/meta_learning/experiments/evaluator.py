"""Everything that can be said about predictions, each number with an interval.

>>> from meta_learning.experiments.predictions import Prediction
>>> said = [Prediction(str(n), "yes" if n % 2 else "no", "yes", float(n % 2), confidence=0.9) for n in range(40)]
>>> report = evaluate(said, ("no", "yes"))
>>> report["accuracy"]["value"], round(report["macro_f1"]["value"], 3), round(report["calibration"]["error"], 2)
(0.5, 0.333, 0.4)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_learning.experiments.clusters import clustered, clustered_mean, places_of
from meta_learning.experiments.intervals import RESAMPLES_COUNT, Estimate, Floats, resampled
from meta_learning.experiments.predictions import Prediction

UNREADABLE = "(unreadable)"
OTHER = "(other)"
BINS_COUNT = 10


def evaluate(predictions: Sequence[Prediction], labels: Sequence[str] = (), seed: int = 0) -> dict[str, Any]:
    """Accuracy, macro precision, recall and F1, calibration, confusion, segments, cost and latency, as plain JSON.

    What was refused is counted apart, and left out of the rest: missing is missing, never wrong. What needs ``labels``, a
    confidence, a price or a segment is None or empty without one. An unreadable answer is a wrong one. Where several items are
    of one group, intervals are those of resampled groups, and ``groups`` says how many there are (else None).
    """
    answered = [one for one in predictions if one.refused is None]
    measured = {
        "accuracy": _mean(answered, lambda one: one.score, seed),
        "unreadable": _mean(answered, lambda one: float(one.answer is None), seed),
        "refused": _mean(predictions, lambda one: float(one.refused is not None), seed),
        "latency_s": _mean(answered, lambda one: one.latency_s, seed),
        "cost_usd": _mean(answered, lambda one: one.cost_usd, seed),
        "tokens": _mean(answered, lambda one: float(one.tokens), seed),
    }
    report: dict[str, Any] = {name: estimate.as_dict() for name, estimate in measured.items()}
    report |= {name: estimate.as_dict() for name, estimate in _macro(answered, labels, seed).items()}
    confusion = confusion_of(answered, labels) if labels else None
    return report | {
        "count": len(predictions),
        "groups": groups_count([one.group for one in answered]),
        "confusion": confusion,
        "calibration": _calibration(answered, seed),
        "segments": _segments(answered, seed),
    }


def groups_count(groups: Sequence[str | None]) -> int | None:
    """How many groups there are, items without one included; None where no two items share one."""
    places = places_of(groups)
    return None if places is None else int(places.max()) + 1


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


def _mean(predictions: Sequence[Prediction], value_of: Callable[[Prediction], float | None], seed: int) -> Estimate:
    """Over those that have a value."""
    found = [(value, one.group) for one in predictions if (value := value_of(one)) is not None]
    return clustered_mean([value for value, _ in found], [group for _, group in found], seed)


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
    plain = [
        Estimate(float(value), float(low), float(high), count)
        for value, low, high in zip(values, lows, highs, strict=True)
    ]
    # The cells again, item by item, so that groups of them can be drawn.
    placed = [one for one in predictions if one.expected in labels]
    rows = np.zeros((len(placed), *matrix.shape))
    columns = confusion_of(placed, labels)["answers"]
    for row, one in enumerate(placed):
        rows[row, list(labels).index(one.expected), columns.index(_column(one, labels))] = 1.0

    def scores(totals: Floats) -> Floats:
        return macro_scores(totals.reshape(-1, *matrix.shape))

    groups = [one.group for one in placed]
    return dict(zip(names, clustered(plain, rows.reshape(len(placed), -1), groups, scores, seed), strict=True))


def macro_scores(matrices: NDArray[np.int64] | Floats) -> Floats:
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
    known = [one for one in predictions if one.confidence is not None]
    pairs, groups = np.array([(one.confidence, one.score) for one in known]), [one.group for one in known]
    if not len(pairs):
        return None
    plain = [
        resampled(pairs, calibration_errors, seed),
        resampled(pairs, lambda drawn: ((drawn[:, :, 0] - drawn[:, :, 1]) ** 2).mean(axis=1), seed),
    ]
    error, brier = clustered(plain, _calibration_rows(pairs), groups, _calibration_of_totals, seed)
    # Confidence in one's own answer is above chance by construction, so noise can only add to the error: its interval
    # says where the error of resampled items lies, and not where that of a perfect model would.
    return {
        "error": error.value,
        "error_interval": [error.low, error.high],
        "brier": brier.as_dict(),
        "bins": _bins(pairs, groups),
    }


def _calibration_rows(pairs: Floats) -> Floats:
    """Of each item: its gap in the column of its bin, its squared error, and 1."""
    rows = np.zeros((len(pairs), BINS_COUNT + 2))
    gaps = pairs[:, 0] - pairs[:, 1]
    rows[np.arange(len(pairs)), _bin_of(pairs[:, 0])] = gaps
    rows[:, -2], rows[:, -1] = gaps**2, 1.0
    return rows


def _calibration_of_totals(totals: Floats) -> Floats:
    sums = np.stack([np.abs(totals[:, :BINS_COUNT]).sum(axis=1), totals[:, -2]], axis=-1)
    return np.asarray(sums / totals[:, -1:])


def _bin_of(confidence: Floats) -> NDArray[np.int64]:
    return np.minimum((confidence * BINS_COUNT).astype(np.int64), BINS_COUNT - 1)


def calibration_errors(samples: Floats) -> Floats:
    """Of samples × items × (confidence, right): the gap between both, by bin, weighted by the items in it."""
    confidence, right = samples[:, :, 0], samples[:, :, 1]
    places = _bin_of(confidence)
    # One count for all samples and bins at once: a loop over bins took ten passes over everything.
    cells = places + BINS_COUNT * np.arange(len(samples))[:, None]
    gaps = np.bincount(cells.ravel(), (confidence - right).ravel(), minlength=BINS_COUNT * len(samples))
    return np.asarray(np.abs(gaps.reshape(len(samples), BINS_COUNT)).sum(axis=1) / samples.shape[1])


def _bins(pairs: Floats, groups: Sequence[str | None]) -> list[dict[str, Any]]:
    places = _bin_of(pairs[:, 0])
    bins = []
    for place in sorted(set(places.tolist())):
        inside = pairs[places == place]
        theirs = [group for group, at in zip(groups, places, strict=True) if at == place]
        share = clustered_mean(inside[:, 1].tolist(), theirs)
        bins.append(
            {"confidence": float(inside[:, 0].mean()), "accuracy": share.value, "low": share.low, "high": share.high}
            | {"count": len(inside)}
        )
    return bins


def _segments(predictions: Sequence[Prediction], seed: int) -> dict[str, Any]:
    by_name: dict[str, list[Prediction]] = defaultdict(list)
    for one in predictions:
        if one.segment:
            by_name[one.segment].append(one)
    return {name: _mean(found, lambda one: one.score, seed).as_dict() for name, found in sorted(by_name.items())}
