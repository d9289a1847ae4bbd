"""Are two samples of texts one? A permutation test that adds up what words, style and novelty say."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from meta_learning.clrs.drift.text_style import STYLES, Numbers

FIRST = 99  # relabellings; more are drawn only where these leave a p-value that an alarm could rest on
DOUBTFUL = 0.02
CHUNK = 500  # relabellings at a time: bounds memory
TAIL = 2.0  # novelty counts from so many standard deviations on: a few strange texts, not all texts a little


def permutation_test(
    rows: sparse.csr_matrix,
    described: Numbers,
    inside: NDArray[np.bool_],
    draws: np.random.Generator,
    level: float | None = None,
) -> tuple[float, float]:
    """The p-value of ``inside`` among relabellings, the observed one included (exact), and its statistic in their SDs.

    The statistic adds four, each standardised over all relabellings: the linear-kernel MMD of ``rows`` (Gretton et al. 2012),
    the squared mean differences of ten style descriptors, and the means of two novelties beyond `TAIL`. Without ``level``,
    the p-value that somebody waits for, it stops at 99 relabellings.
    """
    parts = _parts(rows, described, _choices(inside, FIRST + 1, draws, first=True))
    values = _standardised(parts).sum(axis=1)
    surprise = float((values[0] - values.mean()) / max(float(values.std()), 1e-12))
    if level is None or _share(values) > DOUBTFUL:
        return _share(values), surprise
    for left in range(math.ceil(1.05 / level) - FIRST, 0, -CHUNK):
        parts = np.concatenate([parts, _parts(rows, described, _choices(inside, min(left, CHUNK), draws))])
    return _share(_standardised(parts).sum(axis=1)), surprise


def _parts(rows: sparse.csr_matrix, described: Numbers, choices: NDArray[np.bool_]) -> Numbers:
    """The four statistics of each labelling, shape (labellings, 4)."""
    size, count = int(choices[0].sum()), choices.shape[1]
    weights = np.where(choices, 1.0 / size, -1.0 / (count - size))
    plain = _standardised(described)
    styles = weights @ plain[:, :STYLES]
    strange = weights @ np.maximum(plain[:, STYLES:] - TAIL, 0.0)
    used = np.flatnonzero(rows.getnnz(axis=0))
    means = rows[:, used].T.astype(np.float32) @ weights.T.astype(np.float32)
    words = np.einsum("ij,ij->j", means, means).astype(np.float64)
    return np.column_stack([words, (styles * styles).sum(axis=1), strange])


def _choices(
    inside: NDArray[np.bool_], count: int, draws: np.random.Generator, first: bool = False
) -> NDArray[np.bool_]:
    """Random relabellings; with ``first``, the first is the observed one."""
    choices = draws.permuted(np.tile(inside, (count, 1)), axis=1)
    if first:
        choices[0] = inside
    return choices


def _share(values: Numbers) -> float:
    return float((values >= values[0] - 1e-9 * math.fabs(values[0]) - 1e-9).sum()) / len(values)


def _standardised(values: Numbers) -> Numbers:
    spread = values.std(axis=0)
    plain: Numbers = np.where(spread > 1e-9, (values - values.mean(axis=0)) / np.maximum(spread, 1e-9), 0.0)
    return plain
