"""Are two samples of texts one? A permutation test that adds up what words, style and novelty say."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from meta_learning.clrs.drift.text_style import STYLES, Numbers

FIRST, MORE = 99, 1999  # relabellings; more are drawn only where the first leave a p-value that an alarm could rest on
DOUBTFUL = 0.02
TAIL = 2.0  # novelty counts from so many standard deviations on: a few strange texts, not all texts a little


def permutation_test(
    rows: sparse.csr_matrix,
    described: Numbers,
    inside: NDArray[np.bool_],
    draws: np.random.Generator,
    fine: bool = True,
) -> tuple[float, float]:
    """The p-value of ``inside`` among relabellings, the observed one included (exact), and its statistic in their SDs.

    Without ``fine`` it stops at 99 relabellings, where nobody asks for a p-value below 0.01.

    The statistic adds four, each standardised over all relabellings: the linear-kernel MMD of ``rows`` (Gretton et al. 2012),
    the squared mean differences of ten style descriptors, and the means of two novelties beyond `TAIL`.
    """
    choices = _choices(inside, FIRST, draws)
    values = combined(rows, described, choices)
    surprise = float((values[0] - values.mean()) / max(values.std(), 1e-12))
    if not fine or _share(values) > DOUBTFUL:
        return _share(values), surprise
    choices = np.concatenate([choices, _choices(inside, MORE, draws)[1:]])
    return _share(combined(rows, described, choices)), surprise


def combined(rows: sparse.csr_matrix, described: Numbers, choices: NDArray[np.bool_]) -> Numbers:
    """The statistic for each labelling, shape (labellings,)."""
    size, count = int(choices[0].sum()), choices.shape[1]
    weights = np.where(choices, 1.0 / size, -1.0 / (count - size))
    plain = _standardised(described)
    styles = weights @ plain[:, :STYLES]
    strange = weights @ np.maximum(plain[:, STYLES:] - TAIL, 0.0)
    used = np.flatnonzero(rows.getnnz(axis=0))
    means = rows[:, used].T.astype(np.float32) @ weights.T.astype(np.float32)
    parts = [(means * means).sum(axis=0), (styles * styles).sum(axis=1), strange[:, 0], strange[:, 1]]
    return np.sum([_standardised(np.asarray(part, dtype=np.float64)) for part in parts], axis=0)


def _choices(inside: NDArray[np.bool_], count: int, draws: np.random.Generator) -> NDArray[np.bool_]:
    choices = np.tile(inside, (count + 1, 1))
    choices[1:] = draws.permuted(choices[1:], axis=1)
    return choices


def _share(values: Numbers) -> float:
    return float((values >= values[0] - 1e-9 * math.fabs(values[0]) - 1e-9).sum()) / len(values)


def _standardised(values: Numbers) -> Numbers:
    spread = values.std(axis=0)
    return np.where(spread > 1e-9, (values - values.mean(axis=0)) / np.maximum(spread, 1e-9), 0.0)
