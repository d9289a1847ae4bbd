"""Are two samples of texts one? A permutation test that adds up what words, style and novelty say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from meta_learning.clrs.drift.text_style import STYLES, Numbers

FIRST = 99  # relabellings; more are drawn only where these leave a p-value that an alarm could rest on
DOUBTFUL = 0.02
CHUNK = 500  # relabellings at a time: bounds memory
TAIL = 2.0  # novelty counts from so many standard deviations on: a few strange texts, not all texts a little
TIED = 1e-5  # a difference of rounding in single precision


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
    texts = _Texts.of(rows, described)
    if texts.kinds == 1:
        return 1.0, 0.0
    observed = np.flatnonzero(inside)
    parts = texts.parts(np.concatenate([observed[None, :], _chosen(len(inside), len(observed), FIRST, draws)]))
    values = _standardised(parts).sum(axis=1)
    surprise = float((values[0] - values.mean()) / max(float(values.std()), 1e-12))
    if level is None or _share(values) > DOUBTFUL:
        return _share(values), surprise
    for left in range(math.ceil(1.05 / level) - FIRST, 0, -CHUNK):
        more = _chosen(len(inside), len(observed), min(left, CHUNK), draws)
        parts = np.concatenate([parts, texts.parts(more)])
    return _share(_standardised(parts).sum(axis=1)), surprise


@dataclass(frozen=True, slots=True)
class _Texts:
    """Both samples together, equal texts once: which kind each text is, and what a labelling's counts of kinds are worth."""

    owner: NDArray[np.int64]  # of each text, its kind
    gram: NDArray[np.float32]  # of the kinds' words, centred over all texts, shape (kinds, kinds)
    styles: NDArray[np.float32]  # shape (kinds, 10), centred
    strange: NDArray[np.float32]  # shape (kinds, 2)

    @classmethod
    def of(cls, rows: sparse.csr_matrix, described: Numbers) -> Self:
        starts, seen = rows.indptr.tolist(), dict[tuple[bytes, bytes], int]()
        words = [rows.indices[first:last].tobytes() for first, last in pairwise(starts)]
        keys = zip(words, map(bytes, described), strict=True)
        owner = np.array([seen.setdefault(key, len(seen)) for key in keys])
        kept = np.unique(owner, return_index=True)[1]
        share = np.bincount(owner) / len(owner)
        plain = _standardised(described)[kept]
        used = np.flatnonzero(rows.getnnz(axis=0))
        counted = rows[kept][:, used].astype(np.float32)
        gram = counted @ counted.toarray().T  # sparse by dense: a third of the price of sparse by sparse
        means = gram @ share
        gram = gram - means[:, None] - means[None, :] + share @ means
        strange = np.maximum(plain[:, STYLES:] - TAIL, 0.0)
        return cls(owner, gram.astype(np.float32), plain[:, :STYLES].astype(np.float32), strange.astype(np.float32))

    @property
    def kinds(self) -> int:
        return len(self.gram)

    def parts(self, chosen: NDArray[np.int64]) -> Numbers:
        """The four statistics of each labelling, up to scales that are the same for all, shape (labellings, 4)."""
        places = np.arange(len(chosen))[:, None] * self.kinds + self.owner[chosen]
        counts = np.bincount(places.ravel(), minlength=len(chosen) * self.kinds).reshape(len(chosen), -1)
        counts = counts.astype(np.float32)
        # With a centred Gram matrix the reference's part follows from the window's: one product instead of two samples' means.
        words = np.einsum("ij,ij->i", counts @ self.gram, counts)
        styles = counts @ self.styles
        return np.column_stack([words, (styles * styles).sum(axis=1), counts @ self.strange]).astype(np.float64)


def _chosen(total: int, size: int, count: int, draws: np.random.Generator) -> NDArray[np.int64]:
    """``count`` random subsets of ``size`` out of ``total``: the first steps of as many shuffles at once."""
    places = np.tile(np.arange(total)[:, None], (1, count))
    columns = np.arange(count)
    for step in range(size):
        other = draws.integers(step, total, size=count)
        taken = places[other, columns]
        places[other, columns] = places[step]
        places[step] = taken
    return np.ascontiguousarray(places[:size].T)


def _share(values: Numbers) -> float:
    return float((values >= values[0] - TIED * (1.0 + math.fabs(values[0]))).sum()) / len(values)


def _standardised(values: Numbers) -> Numbers:
    spread = values.std(axis=0)
    plain: Numbers = np.where(spread > 1e-9, (values - values.mean(axis=0)) / np.maximum(spread, 1e-9), 0.0)
    return plain
