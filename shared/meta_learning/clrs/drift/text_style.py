"""How a text is written, and how much of it was never seen before: a few numbers a text, where its words are thousands."""

from __future__ import annotations

import base64
import math
import re
import zlib
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

WORD = re.compile(r"\w+|[^\w\s]")
BITS = 1 << 16
CHARS_MAX = 5120
STYLES = 10
LINK = re.compile(r"https?:|www\.")


def style_of(text: str) -> list[float]:
    """Ten descriptors: lengths, shares of capitals, digits and marks, mentions, links, how it begins and ends.

    >>> len(style_of("Hello @bob")), style_of("Hello @bob")[5:8]
    (10, [1.0, 0.0, 1.0])
    """
    size, words = max(len(text), 1), text.split()
    count = max(len(words), 1)
    letters, spaces = sum(map(str.isalnum, text)), sum(map(str.isspace, text))
    return [
        math.log1p(len(text)),
        sum(map(len, words)) / count,
        # Roots, because shares of rare characters are skewed.
        math.sqrt(sum(map(str.isupper, text)) / size),
        math.sqrt(sum(map(str.isdigit, text)) / size),
        math.sqrt((len(text) - letters - spaces) / size),
        float("@" in text),
        float(LINK.search(text) is not None),
        float(text[:1].isupper()),
        float(text[-1:].isalnum()),
        float(text[-1:] in {".", "!", "?"}),
    ]


def word_codes(text: str) -> NDArray[np.int64]:
    """Hashes of the distinct words, case kept."""
    return np.array([zlib.crc32(word.encode()) % BITS for word in dict.fromkeys(WORD.findall(text))], dtype=np.int64)


def trigram_codes(text: str) -> NDArray[np.int64]:
    """Hashes of the distinct byte trigrams, the text's ends included."""
    codes = np.frombuffer(f"\x02{text}\x03".encode(), dtype=np.uint8).astype(np.uint32)
    mixed = (codes[:-2] << 16 | codes[1:-1] << 8 | codes[2:]) * np.uint32(2654435761)
    return np.unique(mixed >> 16).astype(np.int64)


class Vocabulary:
    """Which words and trigrams occur in some texts, as two bitmaps of 8 KB.

    >>> vocabulary = Vocabulary()
    >>> vocabulary.add("a red apple")
    >>> [round(vocabulary.novelty(text)[0], 3) for text in ("red apple", "blue train")]
    [0.0, 1.414]
    """

    def __init__(self) -> None:
        self._words, self._trigrams = np.zeros(BITS // 8, np.uint8), np.zeros(BITS // 8, np.uint8)

    def add(self, text: str) -> None:
        """Fold a text in."""
        for bits, codes in ((self._words, word_codes(text)), (self._trigrams, trigram_codes(text))):
            np.bitwise_or.at(bits, codes >> 3, (1 << (codes & 7)).astype(np.uint8))

    def novelty(self, text: str) -> list[float]:
        """Unseen words, and unseen trigrams, over the root of how many there are: the scale of their spread by chance."""
        found = []
        for seen, codes in ((self._words, word_codes(text)), (self._trigrams, trigram_codes(text))):
            known = int((seen[codes >> 3] >> (codes & 7) & 1).sum())
            found.append((len(codes) - known) / math.sqrt(max(len(codes), 1)))
        return found

    def described(self, texts: Sequence[str]) -> Numbers:
        """Style and novelty of each text, shape (texts, 12)."""
        rows = [[*style_of(text), *self.novelty(text)] for text in (text[:CHARS_MAX] for text in texts)]
        return np.array(rows, dtype=np.float64).reshape(len(rows), STYLES + 2)

    def packed(self) -> str:
        """As compressed base64 text."""
        return base64.b64encode(zlib.compress(self._words.tobytes() + self._trigrams.tobytes(), 6)).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self:
        """Read `packed` back."""
        vocabulary = cls()
        bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
        vocabulary._words, vocabulary._trigrams = bits[: BITS // 8].copy(), bits[BITS // 8 :].copy()
        return vocabulary
