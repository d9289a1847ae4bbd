"""Texts as sorted hash buckets of their words, weighted for comparison, and packed for keeping."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

TOKEN = re.compile(r"\w+|[^\w\s]")
BUCKETS = 4096
TOKENS_MAX = 128  # distinct tokens of a text that are looked at: bounds the price of a long one


class Checksums(dict[str, int]):
    """The CRC-32 of words, each computed once; made for a batch and dropped with it.

    >>> Checksums()["cat"] == zlib.crc32(b"cat")
    True
    """

    def __missing__(self, word: str) -> int:
        found = self[word] = zlib.crc32(word.encode())
        return found


def tokens_of(text: str) -> list[str]:
    """A text's first distinct words and marks, in lower case."""
    return list(dict.fromkeys(TOKEN.findall(text.lower()[: 40 * TOKENS_MAX])))[:TOKENS_MAX]


def distinct(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct ones, sorted: a tenth of the time of `numpy.unique`, which hashes."""
    ordered = np.sort(codes)
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)]
    found: NDArray[np.int64] = ordered[first]
    return found


@dataclass(frozen=True, slots=True)
class HashedRows:
    """The sorted buckets of some texts, one after the other, and how many each text has.

    >>> checksums = Checksums()
    >>> rows = HashedRows.of([tokens_of("the cat and the dog"), tokens_of("")], checksums)
    >>> rows.sizes.tolist(), len(rows + rows.taken([0]))
    ([4, 0], 3)
    """

    buckets: NDArray[np.uint16]
    sizes: NDArray[np.int64]

    @classmethod
    def none(cls) -> Self:
        """No texts."""
        return cls(np.zeros(0, dtype=np.uint16), np.zeros(0, dtype=np.int64))

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]], checksums: Checksums) -> Self:
        """The rows of texts that are given as their distinct tokens."""
        owners = np.repeat(np.arange(len(texts)), [len(tokens) for tokens in texts])
        found = np.array([checksums[token] for tokens in texts for token in tokens], dtype=np.int64) % BUCKETS
        codes = distinct(owners * BUCKETS + found)  # two tokens can share a bucket
        return cls((codes % BUCKETS).astype(np.uint16), np.bincount(codes // BUCKETS, minlength=len(texts)))

    def __len__(self) -> int:
        return len(self.sizes)

    def __add__(self, other: HashedRows) -> HashedRows:
        return HashedRows(np.concatenate([self.buckets, other.buckets]), np.concatenate([self.sizes, other.sizes]))

    def taken(self, places: Sequence[int]) -> HashedRows:
        """The rows at these places, in their order."""
        parts = np.split(self.buckets, np.cumsum(self.sizes)[:-1])
        kept = np.concatenate([*(parts[place] for place in places), np.zeros(0, dtype=np.uint16)])
        return HashedRows(kept, self.sizes[np.asarray(places, dtype=np.int64)])

    def last(self, count: int) -> HashedRows:
        """The last rows."""
        sizes = self.sizes[-count:]
        return HashedRows(self.buckets[len(self.buckets) - int(sizes.sum()) :], sizes)

    def counts(self) -> NDArray[np.int64]:
        """How many texts have each bucket."""
        return np.bincount(self.buckets, minlength=BUCKETS)

    def weighted(self) -> sparse.csr_matrix:
        """As rows of length 1, weighted by the inverse document frequency over all of them."""
        indices = self.buckets.astype(np.int32)
        weights = (np.log((1 + len(self)) / (1 + self.counts())) + 1e-3)[indices]
        owners = np.repeat(np.arange(len(self)), self.sizes)
        lengths = np.sqrt(np.bincount(owners, weights=weights * weights, minlength=len(self)))
        starts = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int32)
        return sparse.csr_matrix((weights / lengths[owners], indices, starts), shape=(len(self), BUCKETS))

    def packed(self) -> str:
        """As compressed base64 text."""
        head = np.array([len(self), *self.sizes.tolist()], dtype="<u4")
        return base64.b64encode(zlib.compress(head.tobytes() + self.buckets.astype("<u2").tobytes(), 6)).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self:
        """Read `packed` back."""
        raw = zlib.decompress(base64.b64decode(text))
        count = int(np.frombuffer(raw, "<u4", 1)[0])
        sizes = np.frombuffer(raw, "<u4", count, 4).astype(np.int64)
        return cls(np.frombuffer(raw, "<u2", -1, 4 * (count + 1)).astype(np.uint16), sizes)
