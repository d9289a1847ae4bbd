"""The words of a batch as hash buckets, made once for everything that looks at texts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from meta_learning.clrs.drift.hashed_rows import Checksums
from meta_learning.clrs.models.port import Pair

TOKEN = re.compile(r"\w+")
BUCKETS = 4096
TOKENS_MAX = 128  # distinct words of a text that are looked at: bounds the price of a long one
CHARS_MAX = 40 * TOKENS_MAX


@dataclass(frozen=True, slots=True)
class HashedPairs:
    """The distinct words of each input and of each output, and their buckets; both in order of appearance.

    >>> hashed = HashedPairs.of([("the cat and the dog", "yes")])
    >>> hashed.input_words, [len(row) for row in hashed.inputs]
    ([['the', 'cat', 'and', 'dog']], [4])
    """

    input_words: list[list[str]]
    inputs: list[NDArray[np.int64]]
    outputs: list[NDArray[np.int64]]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Self:
        """Hash both texts of every pair."""
        known = Checksums()
        asked = [words_of(text) for text, _ in pairs]
        said = {text: _buckets(words_of(text), known) for text in {text: None for _, text in pairs}}
        return cls(asked, [_buckets(words, known) for words in asked], [said[text] for _, text in pairs])


def words_of(text: str) -> list[str]:
    """The first distinct words of a text, in lower case."""
    return list(dict.fromkeys(TOKEN.findall(text[:CHARS_MAX].lower())))[:TOKENS_MAX]


def bucket(word: str) -> int:
    """Where a word is counted."""
    return zlib.crc32(word.encode()) % BUCKETS


def buckets(words: Sequence[str]) -> NDArray[np.int64]:
    """The buckets of words."""
    return _buckets(words, Checksums())


def _buckets(words: Sequence[str], known: Checksums) -> NDArray[np.int64]:
    return np.array([known[word] for word in words], dtype=np.int64) % BUCKETS


def weighted(rows: Sequence[NDArray[np.int64]]) -> sparse.csr_matrix:
    """Rows of length 1, each word weighted by its inverse document frequency among them."""
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    frequency = np.bincount(indices, minlength=BUCKETS)
    weights = np.log((1 + len(rows)) / (1 + frequency))[indices] + 1e-3
    owners = np.repeat(np.arange(len(rows)), np.diff(starts))
    lengths = np.sqrt(np.bincount(owners, weights=weights * weights, minlength=len(rows)))
    return sparse.csr_matrix((weights / lengths[owners], indices, starts), shape=(len(rows), BUCKETS))
