"""Texts as arrays of Unicode code points, and two tables that say of each code point what it is and what its lower case is.

Both ways of computing features (`extraction` in numpy, `kernel` compiled) read these tables, so that they cut every text alike.
The tables follow the Unicode version of the running Python; letters that a later version adds are marks before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

TEXT_CHARS_MAX = 4000  # what lies beyond is not read: a 32 KiB text would cost 200 times a tweet and add little
WORD, SPACE, DIGIT, UPPER = 1, 2, 4, 8  # bits of a kind; no bit set: a mark
COUNT = 0x110000
Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Codes: TypeAlias = np.ndarray[Any, np.dtype[np.uint32]]
Kinds: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]


class Tables(NamedTuple):
    """Indexed by code point: ``kinds`` (bits) and ``lower`` (a code point). 5.6 MB, once a process."""

    kinds: Kinds
    lower: Codes


@cache
def tables() -> Tables:
    """The tables of this Python's Unicode version; about 60 ms, at the first use.

    >>> found = tables()
    >>> chr(found.lower[ord("Ж")]), bool(found.kinds[ord("_")] & WORD), int(found.kinds[ord("!")])
    ('ж', True, 0)
    """
    every = "".join(map(chr, range(COUNT)))
    # U+0130 alone becomes two code points in lower case; the table keeps one for one.
    lower = _points(every.replace("\u0130", "i").lower())
    kinds = np.where(lower != np.arange(COUNT), UPPER, 0).astype(np.uint8)
    for pattern, bit in ((r"\w+", WORD), (r"\s+", SPACE), (r"\d+", DIGIT)):
        for match in re.finditer(pattern, every):
            kinds[match.start() : match.end()] |= bit
    return Tables(kinds, lower)


def encoded(texts: Sequence[str]) -> tuple[Codes, Ints]:
    """The code points of all ``texts`` in one array, and where each text starts (and the last one ends).

    >>> points, starts = encoded(["ab", "", "c"])
    >>> points.tolist(), starts.tolist()
    ([97, 98, 99], [0, 2, 2, 3])
    """
    cut = [text[:TEXT_CHARS_MAX] for text in texts]
    starts = np.zeros(len(cut) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in cut], out=starts[1:])
    return _points("".join(cut)), starts


def _points(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32, copy=False)
