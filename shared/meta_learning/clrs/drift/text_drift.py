"""Drift of texts: can a window be told from the reference by its words, and better than chance would?"""

from __future__ import annotations

import base64
import math
import re
import zlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata

from meta_learning.clrs.estimate import Estimate
from meta_learning.errors import ConfigurationError

TOKEN = re.compile(r"\w+|[^\w\s]")
BUCKETS = 4096
TOKENS_MAX = 128  # distinct tokens of a text that are looked at: bounds the price of a long one
FOLDS = 5
PERMUTATIONS = 199


class TextDrift:
    """``2 * AUROC - 1`` of a cross-fitted linear witness between reference and window; 0.3 is an AUROC of 0.65.

    The first ``reference_size`` texts are the reference. Each later batch is compared with it: texts become hashed words with
    inverse document frequencies of both samples together (so that chance favours neither), the witness is the difference of
    the two means on four fifths, and ranks the last fifth. ``p_value`` is the permutation p-value of the linear-kernel MMD
    (Gretton et al. 2012), drawn from (seed, number of the window), the observed statistic included.

    Memory: at most ``reference_size + window_size`` rows of 128 buckets of 2 bytes, 0.2 MB.

    >>> drift = TextDrift(reference_size=60, window_size=30)
    >>> drift.update([f"red apple {n % 7}" for n in range(60)])
    >>> drift.update([f"blue train {n % 7}" for n in range(30)])
    >>> drift.result().current, drift.p_value
    (1.0, 0.005)
    """

    def __init__(self, reference_size: int = 500, window_size: int = 100, seed: int = 0) -> None:
        if min(reference_size, window_size) < FOLDS:
            raise ConfigurationError(f"reference_size and window_size must be at least {FOLDS}, one text a fold")
        self.reference_size, self.window_size, self.seed = reference_size, window_size, seed
        self.reference: list[NDArray[np.uint16]] = []
        self.recent: list[NDArray[np.uint16]] = []
        self.windows = 0
        self.p_value: float | None = None
        self._estimate = Estimate.collecting()

    def update(self, texts: Sequence[str]) -> None:
        """Fold a batch: into the reference until it is full, then into the window, which is compared once it is full."""
        rows = [buckets_of(text) for text in texts]
        wanted = max(self.reference_size - len(self.reference), 0)
        self.reference += rows[:wanted]
        rows = rows[wanted:]
        if not rows:
            self._estimate = Estimate.collecting(len(self.reference))
            return
        size = max(self.window_size, min(len(rows), self.reference_size))
        self.recent = (self.recent + rows)[-size:]
        if len(self.recent) >= self.window_size:
            self._compare()

    def result(self) -> Estimate:
        """The score of the last full window."""
        return self._estimate

    def _compare(self) -> None:
        self.windows += 1
        rows, total = weighted([*self.reference, *self.recent]), len(self.reference) + len(self.recent)
        inside = np.arange(total) >= len(self.reference)
        score = 2.0 * witness_auroc(rows, inside) - 1.0
        error = 2.0 * math.sqrt((total + 1) / (12.0 * len(self.reference) * len(self.recent)))
        self.p_value = mmd_p_value(rows, inside, np.random.default_rng([self.seed, self.windows]))
        self._estimate = Estimate.of(score, len(self.recent), score - 1.96 * error, score + 1.96 * error)

    def state(self) -> dict[str, Any]:
        """JSON; the reference, which no longer changes once full, lies in one field."""
        return {
            "reference": packed(self.reference),
            "recent": packed(self.recent),
            "windows": self.windows,
            "p_value": self.p_value,
            "estimate": self._estimate.as_dict(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        drift = cls(**config)
        drift.reference, drift.recent = unpacked(state["reference"]), unpacked(state["recent"])
        drift.windows, drift.p_value = state["windows"], state["p_value"]
        drift._estimate = Estimate(**state["estimate"])
        return drift


def buckets_of(text: str) -> NDArray[np.uint16]:
    """The sorted hash buckets of a text's first distinct tokens.

    >>> len(buckets_of("the cat and the dog"))
    4
    """
    tokens = dict.fromkeys(TOKEN.findall(text.lower()[: 40 * TOKENS_MAX]))
    found = {zlib.crc32(token.encode()) % BUCKETS for token in list(tokens)[:TOKENS_MAX]}
    return np.array(sorted(found), dtype=np.uint16)


def weighted(rows: Sequence[NDArray[np.uint16]]) -> sparse.csr_matrix:
    """Rows of length 1, weighted by the inverse document frequency over all of them."""
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices = np.concatenate(rows).astype(np.int64) if rows else np.zeros(0, dtype=np.int64)
    frequency = np.bincount(indices, minlength=BUCKETS)
    weights = np.log((1 + len(rows)) / (1 + frequency))[indices] + 1e-3
    owners = np.repeat(np.arange(len(rows)), np.diff(starts))
    lengths = np.sqrt(np.bincount(owners, weights=weights * weights, minlength=len(rows)))
    return sparse.csr_matrix((weights / lengths[owners], indices, starts), shape=(len(rows), BUCKETS))


def witness_auroc(rows: sparse.csr_matrix, inside: NDArray[np.bool_]) -> float:
    """How well the difference of means, learnt on the other folds, ranks window rows above reference rows."""
    folds = np.concatenate([np.arange(count) % FOLDS for count in (int((~inside).sum()), int(inside.sum()))])
    values = []
    for fold in range(FOLDS):
        held, learnt = folds == fold, folds != fold
        signs = np.where(inside, 1.0 / (inside & learnt).sum(), -1.0 / (~inside & learnt).sum()) * learnt
        values.append(auroc(rows[held] @ (rows.T @ signs), inside[held]))
    return math.fsum(values) / FOLDS


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties half.

    >>> auroc(np.array([0.1, 0.9, 0.8]), np.array([False, True, True]))
    1.0
    """
    ranks = rankdata(np.round(scores, 12))
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(scores) - count)))


def mmd_p_value(rows: sparse.csr_matrix, inside: NDArray[np.bool_], draws: np.random.Generator) -> float:
    """Share of relabellings (the observed one among them) whose means lie at least as far apart."""
    count, size = len(inside), int(inside.sum())
    choices = np.tile(inside, (PERMUTATIONS + 1, 1))
    choices[1:] = draws.permuted(choices[1:], axis=1)
    signs = np.where(choices, 1.0 / size, -1.0 / (count - size))
    means = rows.T @ signs.T
    distances = (means * means).sum(axis=0)
    return float((distances >= distances[0] - 1e-12).sum()) / (PERMUTATIONS + 1)


def packed(rows: Sequence[NDArray[np.uint16]]) -> str:
    """Rows as compressed base64 text."""
    lengths = np.array([len(rows), *(len(row) for row in rows)], dtype="<u4")
    body = np.concatenate([*rows, np.zeros(0, dtype=np.uint16)]).astype("<u2")
    return base64.b64encode(zlib.compress(lengths.tobytes() + body.tobytes(), 6)).decode()


def unpacked(text: str) -> list[NDArray[np.uint16]]:
    """Read `packed` back."""
    raw = zlib.decompress(base64.b64decode(text))
    count = int(np.frombuffer(raw, "<u4", 1)[0])
    lengths = np.frombuffer(raw, "<u4", count, 4)
    body = np.frombuffer(raw, "<u2", -1, 4 * (count + 1)).astype(np.uint16)
    return np.split(body, np.cumsum(lengths)[:-1]) if count else []
