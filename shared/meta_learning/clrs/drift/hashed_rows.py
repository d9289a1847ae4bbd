"""Texts as sorted hash buckets of their words, weighted for comparison, and packed for keeping."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

TOKEN = re.compile(r"\w+|[^\w\s]")
BUCKETS = 4096
TOKENS_MAX = 128  # distinct tokens of a text that are looked at: bounds the price of a long one


def tokens_of(text: str) -> list[str]:
    """A text's first distinct words and marks, in lower case."""
    return list(dict.fromkeys(TOKEN.findall(text.lower()[: 40 * TOKENS_MAX])))[:TOKENS_MAX]


def bucket(token: str) -> int:
    """The hash bucket of a token."""
    return zlib.crc32(token.encode()) % BUCKETS


def buckets_of(text: str) -> NDArray[np.uint16]:
    """The sorted hash buckets of a text's first distinct tokens.

    >>> len(buckets_of("the cat and the dog"))
    4
    """
    return np.array(sorted({bucket(token) for token in tokens_of(text)}), dtype=np.uint16)


def weighted(rows: Sequence[NDArray[np.uint16]]) -> sparse.csr_matrix:
    """Rows of length 1, weighted by the inverse document frequency over all of them."""
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices = np.concatenate(rows).astype(np.int64) if rows else np.zeros(0, dtype=np.int64)
    frequency = np.bincount(indices, minlength=BUCKETS)
    weights = np.log((1 + len(rows)) / (1 + frequency))[indices] + 1e-3
    owners = np.repeat(np.arange(len(rows)), np.diff(starts))
    lengths = np.sqrt(np.bincount(owners, weights=weights * weights, minlength=len(rows)))
    return sparse.csr_matrix((weights / lengths[owners], indices, starts), shape=(len(rows), BUCKETS))


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
