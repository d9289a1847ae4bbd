"""Hashed features of (input, output) pairs: the words and characters of both fields, their crosses and their overlap.

The hashing trick (Weinberger et al. 2009, arXiv 0902.2206) needs no vocabulary, so memory stays constant whatever comes in.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from meta_learning.clrs.models.port import Floats, Pair

TEXT_CHARS_MAX = 4000  # what lies beyond is not read: a 32 KiB text would cost 200 times a tweet and add little
CROSS_WORDS_MAX = 4  # an output of at most so many words is a label or a short answer, and is crossed with the input
# Lengths of the blocks, chosen on one shuffle of Sentiment140 and on MLQE-PE ru-en. After a label or a short answer almost
# everything lies in the cross; the plain input is kept small, for outputs that were never seen before. What is the same in
# every row is kept smaller still: many features that are always on act as one bias that learns far too fast.
CROSS, LONG_FIELD, LONG_OVERLAP = 1.0, 0.2, 0.2
SHORT_INPUT, SHORT_OUTPUT, SHORT_OVERLAP = 0.1, 0.05, 0.02
KNOTS = np.linspace(0.0, 1.0, 5)
WORD = re.compile(r"\w+")
DIGITS = re.compile(r"\d+")
MARKS = re.compile(r"[^\w\s]")
OUTPUT_FIELD = 0x9E3779B1  # odd, so that multiplying by it only permutes the buckets
CROSS_FIELD = 0x85EBCA6B


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """What `PairFeatures` extracts. ``bits``: the hashed space has ``2 ** bits`` buckets."""

    bits: int = 18
    words: int = 2
    chars_min: int = 3
    chars_max: int = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows in CSR layout: row i holds ``indices[starts[i]:starts[i + 1]]`` with the ``values`` beside them."""

    starts: np.ndarray[Any, np.dtype[np.int64]]
    indices: np.ndarray[Any, np.dtype[np.int64]]
    values: np.ndarray[Any, np.dtype[np.float32]]

    def dot(self, weights: np.ndarray[Any, np.dtype[np.float32]]) -> Floats:
        """The product with ``weights``, summed in float64 in the order of the entries (no BLAS: the same on every run)."""
        count = len(self.starts) - 1
        owners = np.repeat(np.arange(count), np.diff(self.starts))
        terms = self.values.astype(np.float64) * weights[self.indices]
        return np.bincount(owners, weights=terms, minlength=count).astype(np.float64)


class PairFeatures:
    """Turns pairs into `Rows`, and remembers the last two batches: champion and candidate are asked about the same pairs.

    >>> rows = PairFeatures().rows([("good film", "positive")])
    >>> len(rows.starts), bool(rows.values.min() >= 0.0)
    (2, True)
    """

    def __init__(self, settings: FeatureSettings | None = None) -> None:
        self.settings = settings or FeatureSettings()
        self.hashed = 1 << self.settings.bits
        self.width = self.hashed + 64  # the last 64 are for the bias and the overlap features, which never collide
        self._words = self._vectorizer("word", (1, self.settings.words))
        self._chars = self._vectorizer("char_wb", (self.settings.chars_min, self.settings.chars_max))
        self._memo: tuple[tuple[tuple[Pair, ...], Rows], ...] = ()

    def rows(self, pairs: Sequence[Pair]) -> Rows:
        """The features of ``pairs``; each field's block has Euclidean length 1."""
        key = tuple(pairs)
        for known, rows in self._memo:
            if known == key:
                return rows
        rows = self._extract(key)
        if len(key) > 1:
            self._memo = ((key, rows), *self._memo[:1])
        return rows

    def _vectorizer(self, analyzer: str, ngrams: tuple[int, int]) -> Any:
        return HashingVectorizer(
            analyzer=analyzer,
            ngram_range=ngrams,
            n_features=self.hashed,
            norm=None,
            alternate_sign=False,
            dtype=np.float32,
            token_pattern=r"\w+|[^\w\s]" if analyzer == "word" else None,
        )

    def _extract(self, pairs: tuple[Pair, ...]) -> Rows:
        inputs = self._field([text[:TEXT_CHARS_MAX] for text, _ in pairs])
        outputs = self._field([text[:TEXT_CHARS_MAX] for _, text in pairs])
        short = np.array([0 < len(WORD.findall(text[:TEXT_CHARS_MAX])) <= CROSS_WORDS_MAX for _, text in pairs])
        plain = _scaled(inputs, np.where(short, SHORT_INPUT, LONG_FIELD))
        moved = self._moved(outputs, np.ones(len(pairs)), OUTPUT_FIELD)
        hashed = plain + _scaled(moved, np.where(short, SHORT_OUTPUT, LONG_FIELD)) + self._crossed(inputs, pairs, short)
        facts = sparse.csr_matrix(np.array([overlap(*pair) for pair in pairs], dtype=np.float32))
        dense = _scaled(facts, np.where(short, SHORT_OVERLAP, LONG_OVERLAP))
        joined = sparse.hstack([hashed, dense], format="csr")
        joined.sort_indices()
        return Rows(joined.indptr.astype(np.int64), joined.indices.astype(np.int64), joined.data.astype(np.float32))

    def _field(self, texts: list[str]) -> sparse.csr_matrix:
        found = self._words.transform(texts) + self._chars.transform(texts)
        lengths = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        return _scaled(found, 1.0 / np.maximum(lengths, 1e-12))

    def _moved(self, block: sparse.csr_matrix, keys: np.ndarray[Any, Any], field: int) -> sparse.csr_matrix:
        """``block`` in other buckets: a permutation of them that depends on the field and on each row's key."""
        owners = np.repeat(keys, np.diff(block.indptr)).astype(np.uint64)
        buckets = (block.indices.astype(np.uint64) * np.uint64(field) + owners * np.uint64(2654435761)) % self.hashed
        moved = sparse.csr_matrix((block.data, buckets.astype(np.int32), block.indptr), shape=block.shape)
        moved.sum_duplicates()
        return moved

    def _crossed(self, inputs: sparse.csr_matrix, pairs: tuple[Pair, ...], short: np.ndarray[Any, Any]) -> Any:
        """Every input feature joined with the whole output, where the output is a label or a short answer."""
        texts = [text[:TEXT_CHARS_MAX].lower() if brief else "" for (_, text), brief in zip(pairs, short, strict=True)]
        said = [" ".join(WORD.findall(text)) for text in texts]
        keys = np.array([zlib.crc32(text.encode()) for text in said], dtype=np.uint64)
        kept = _scaled(inputs, np.where(short, CROSS, 0.0))
        kept.eliminate_zeros()
        return self._moved(kept, keys, CROSS_FIELD)


def _scaled(block: sparse.csr_matrix, factors: np.ndarray[Any, Any]) -> sparse.csr_matrix:
    """``block`` with row i multiplied by ``factors[i]``."""
    scale = np.repeat(factors, np.diff(block.indptr)).astype(np.float32)
    return sparse.csr_matrix((block.data * scale, block.indices.copy(), block.indptr.copy()), shape=block.shape)


def overlap(asked: str, answered: str) -> Floats:
    """64 features in [0, 1]: the bias, then eight comparisons of the two texts, each spread over five hat functions.

    >>> float(overlap("a b", "a b")[0]), overlap("a b", "c").shape
    (1.0, (64,))
    """
    asked, answered = asked[:TEXT_CHARS_MAX].lower(), answered[:TEXT_CHARS_MAX].lower()
    words = set(WORD.findall(asked)), set(WORD.findall(answered))
    longest = max(len(asked), len(answered), 1)
    facts = np.array(
        [
            (len(answered) - len(asked)) / (2 * longest) + 0.5,
            min(len(asked), 1000) ** 0.5 / 1000**0.5,
            min(len(answered), 1000) ** 0.5 / 1000**0.5,
            jaccard(*words),
            len(words[0] & words[1]) / max(len(words[1]), 1),
            jaccard(set(DIGITS.findall(asked)), set(DIGITS.findall(answered))),
            jaccard(set(MARKS.findall(asked)), set(MARKS.findall(answered))),
            len(words[1]) / max(len(WORD.findall(answered)), 1),
        ]
    )
    hats = np.maximum(0.0, 1.0 - np.abs(facts[:, None] - KNOTS[None, :]) * (len(KNOTS) - 1))
    result = np.zeros(64)
    result[0] = 1.0
    result[1 : 1 + hats.size] = hats.ravel()
    return result


def jaccard(left: set[str], right: set[str]) -> float:
    """Shared over all; 1.0 for two empty sets.

    >>> jaccard({"a", "b"}, {"b", "c"})
    0.3333333333333333
    """
    return len(left & right) / len(left | right) if left or right else 1.0
