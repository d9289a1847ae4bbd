"""How a text is written: ten numbers a text, found for a whole batch at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

CHARS_MAX = 5120
STYLES = 10
LINK = re.compile(r"https?:|www\.")
ENDS = (".", "!", "?")
LATIN = 256
LETTER, SPACE, CAPITAL, DIGIT = 1, 2, 4, 8


def styles_of(texts: Sequence[str]) -> Numbers:
    """Ten descriptors of each text: lengths, shares of capitals, digits and marks, mentions, links, how it begins and ends.

    >>> styles_of(["Hello @bob"]).shape, styles_of(["Hello @bob"])[0, 5:8].tolist()
    ((1, 10), [1.0, 0.0, 1.0])
    """
    sizes = np.array([len(text) for text in texts], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    classes = _classes("".join(texts))
    space = classes & SPACE > 0
    after = np.concatenate([[True], space[:-1]])[: len(space)]
    after[starts[:-1][sizes > 0]] = True  # a word begins at the beginning of a text, or after a space
    letters, capitals, digits = (_counted(classes & wanted > 0, starts) for wanted in (LETTER, CAPITAL, DIGIT))
    spaces, words, least = _counted(space, starts), _counted(~space & after, starts), np.maximum(sizes, 1)
    return np.column_stack(
        [
            np.log1p(sizes),
            (sizes - spaces) / np.maximum(words, 1),
            # Roots, because shares of rare characters are skewed.
            np.sqrt(capitals / least),
            np.sqrt(digits / least),
            np.sqrt((sizes - letters - spaces) / least),
            ["@" in text for text in texts],
            [LINK.search(text) is not None for text in texts],
            [text[:1].isupper() for text in texts],
            [text[-1:].isalnum() for text in texts],
            [text[-1:] in ENDS for text in texts],
        ]
    ).astype(np.float64)


def _counted(marks: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many marks each text has; ``starts`` are the texts' beginnings, and the end."""
    sums = np.concatenate([[0], np.cumsum(marks)])
    counts: NDArray[np.int64] = sums[starts[1:]] - sums[starts[:-1]]
    return counts


def _classes(text: str) -> NDArray[np.uint8]:
    """What each character is, as bits."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    found: NDArray[np.uint8] = _latin()[np.minimum(codes, LATIN - 1)]
    beyond = np.flatnonzero(codes >= LATIN)
    if len(beyond):
        distinct, places = np.unique(codes[beyond], return_inverse=True)
        found[beyond] = np.array([_class(chr(code)) for code in distinct.tolist()], dtype=np.uint8)[places]
    return found


@cache
def _latin() -> NDArray[np.uint8]:
    return np.array([_class(chr(code)) for code in range(LATIN)], dtype=np.uint8)


def _class(letter: str) -> int:
    is_of = (letter.isalnum(), letter.isspace(), letter.isupper(), letter.isdigit())
    return sum(bit for bit, holds in zip((LETTER, SPACE, CAPITAL, DIGIT), is_of, strict=True) if holds)
