"""Are two samples of texts one? A permutation test that adds up what words, style and novelty say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from meta_learning.clrs.drift.text_style import STYLES, Numbers

FIRST = 99  # relabellings; more are drawn only where these leave a p-value that an alarm could rest on
DOUBTFUL = 0.02
CHUNK = 250  # relabellings at a time: what they need of memory stays in the processor's cache
TAIL = 2.0  # novelty counts from so many standard deviations on: a few strange texts, not all texts a little
TIED = 1e-5  # a difference of rounding in single precision
Floats32 = NDArray[np.float32]


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
    the p-value that somebody waits for, it stops at 99 relabellings; with it, as soon as so many of them reach the observed
    statistic that ``level`` is out of reach (Besag & Clifford 1991). Stopped short it is above ``level``, so whatever the
    stops, it is ``level`` or less only as often as that of all relabellings.
    """
    texts = Labelled.of(rows, described)
    if texts.kinds == 1:
        return 1.0, 0.0
    size = int(inside.sum())
    parts = texts.parts(np.column_stack([inside, _chosen(len(inside), size, FIRST, draws)]))
    values = _standardised(parts).sum(axis=1)
    surprise = float((values[0] - values.mean()) / max(float(values.std()), 1e-12))
    if level is None or _reached(values) > DOUBTFUL * len(values):
        return _reached(values) / len(values), surprise
    wanted = math.ceil(1.05 / level)
    for left in range(wanted - FIRST, 0, -CHUNK):
        more = _chosen(len(inside), size, min(left, CHUNK), draws)
        parts = np.concatenate([parts, texts.parts(more)])
        values = _standardised(parts).sum(axis=1)
        if _reached(values) > level * (wanted + 1):
            break
    return _reached(values) / len(values), surprise


@dataclass(frozen=True, slots=True)
class Labelled:
    """The texts of both samples, and what a labelling of them is worth; where most are repeated, equal ones are one kind."""

    owner: NDArray[np.int64] | None  # of each text, its kind; None where each is its own
    words: sparse.csr_matrix  # shape (buckets in use, kinds)
    others: (
        Floats32  # for each kind its words' product with the mean text, ten styles, two novelties; shape (13, kinds)
    )
    mean_squares: float  # of the mean text's words

    @classmethod
    def of(cls, rows: sparse.csr_matrix, described: Numbers) -> Self:
        """Of weighted ``rows`` and descriptors of shape (texts, 12)."""
        plain = _standardised(described)
        mean = np.asarray(rows.mean(axis=0)).ravel()
        strange = np.maximum(plain[:, STYLES:] - TAIL, 0.0)
        others = np.column_stack([rows @ mean, plain[:, :STYLES], strange]).astype(np.float32)
        owner, kept = _kinds(rows, described)
        if owner is not None:
            rows, others = rows[kept], others[kept]
        used = np.zeros(rows.shape[1], dtype=np.int32)
        used[rows.indices] = 1
        places = (np.cumsum(used) - 1)[rows.indices]
        shape = (rows.shape[0], int(used.sum()))
        words = sparse.csr_matrix((rows.data.astype(np.float32), places, rows.indptr), shape=shape).T.tocsr()
        return cls(owner, words, np.ascontiguousarray(others.T), float(mean @ mean))

    @property
    def kinds(self) -> int:
        """How many different texts are told apart."""
        return len(self.others[0])

    def parts(self, inside: NDArray[np.bool_]) -> Numbers:
        """The four statistics of each labelling (a column), up to scales that are the same for all, shape (labellings, 4)."""
        counts = inside.astype(np.float32)
        if self.owner is not None:
            belongs = self.owner == np.arange(self.kinds)[:, None]
            counts = belongs.astype(np.float32) @ counts
        sums = self.words @ counts  # sparse by dense, a third of the price of the Gram matrix by dense
        size = int(inside[:, 0].sum())
        found = self.others @ counts
        # With the mean text taken off, the reference's part follows from the window's.
        squares = np.einsum("ij,ij->j", sums, sums) - 2.0 * size * found[0] + size * size * self.mean_squares
        styles = found[1 : 1 + STYLES]
        return np.column_stack([squares, (styles * styles).sum(axis=0), found[1 + STYLES :].T]).astype(np.float64)


def _kinds(rows: sparse.csr_matrix, described: Numbers) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """The kind of each text and a text of each kind; None, None where less than half of the texts are repeated."""
    mixed = np.random.default_rng(0).standard_normal(rows.shape[1] + described.shape[1])
    # Equal texts have equal sums; that others do too has the chance of a collision in 50 bits.
    codes = rows @ mixed[: rows.shape[1]] + described @ mixed[rows.shape[1] :]
    _, kept, owner = np.unique(codes, return_index=True, return_inverse=True)
    return (None, None) if 2 * len(kept) > len(owner) else (owner, kept)


def _chosen(total: int, size: int, count: int, draws: np.random.Generator) -> NDArray[np.bool_]:
    """``count`` random subsets of ``size`` out of ``total``, shape (total, count): those with the smallest random numbers."""
    numbers = draws.integers(0, 2**32, (total, count), dtype=np.uint32)
    # Two equal numbers at the limit, which would make a subset one too large, come once in ten million subsets of 100.
    chosen: NDArray[np.bool_] = numbers <= np.partition(numbers, size - 1, axis=0)[size - 1]
    return chosen


def _reached(values: Numbers) -> int:
    """How many labellings reach the first one's statistic, itself included."""
    return int((values >= values[0] - TIED * (1.0 + math.fabs(values[0]))).sum())


def _standardised(values: Numbers) -> Numbers:
    spread = values.std(axis=0)
    plain: Numbers = np.where(spread > 1e-9, (values - values.mean(axis=0)) / np.maximum(spread, 1e-9), 0.0)
    return plain
