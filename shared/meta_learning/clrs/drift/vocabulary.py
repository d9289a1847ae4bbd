"""Which words and trigrams are known, and how much of a text is not."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.drift.hashed_rows import Checksums, distinct
from meta_learning.clrs.drift.text_style import CHARS_MAX, Numbers, styles_of

WORD = re.compile(r"\w+|[^\w\s]")
BITS = 1 << 16
Codes = NDArray[np.int64]


class Vocabulary:
    """Which words and trigrams occur in some texts, as two bitmaps of 8 KB.

    >>> vocabulary = Vocabulary()
    >>> vocabulary.add(["a red apple"])
    >>> vocabulary.novelty(["red apple", "blue train"])[:, 0].round(3).tolist()
    [0.0, 1.414]
    """

    def __init__(self) -> None:
        self._words, self._trigrams = np.zeros(BITS // 8, np.uint8), np.zeros(BITS // 8, np.uint8)

    def add(self, texts: Sequence[str]) -> None:
        """Fold texts in."""
        shown = [text[:CHARS_MAX] for text in texts]
        for bits, (_, codes) in zip(
            (self._words, self._trigrams), (_words(shown, Checksums()), _trigrams(shown)), strict=True
        ):
            np.bitwise_or.at(bits, codes >> 3, (1 << (codes & 7)).astype(np.uint8))

    def novelty(self, texts: Sequence[str], checksums: Checksums | None = None) -> Numbers:
        """Unseen words, and unseen trigrams, over the root of how many there are: the scale of their spread by chance.

        Shape (texts, 2).
        """
        shown = [text[:CHARS_MAX] for text in texts]
        found = _words(shown, Checksums() if checksums is None else checksums), _trigrams(shown)
        return np.column_stack(
            [
                self._unseen(bits, *codes, len(texts))
                for bits, codes in zip((self._words, self._trigrams), found, strict=True)
            ]
        )

    @staticmethod
    def _unseen(bits: NDArray[np.uint8], owners: Codes, codes: Codes, count: int) -> Numbers:
        new = (bits[codes >> 3] >> (codes & 7) & 1) == 0
        unseen, all_ = np.bincount(owners[new], minlength=count), np.bincount(owners, minlength=count)
        return unseen / np.sqrt(np.maximum(all_, 1))

    def described(self, texts: Sequence[str], checksums: Checksums | None = None) -> Numbers:
        """Style and novelty of each text, shape (texts, 12)."""
        return np.column_stack([styles_of([text[:CHARS_MAX] for text in texts]), self.novelty(texts, checksums)])

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


def _words(texts: Sequence[str], checksums: Checksums) -> tuple[Codes, Codes]:
    """The owner and the hash of each text's distinct words, case kept."""
    words = [dict.fromkeys(WORD.findall(text)) for text in texts]
    owners = np.repeat(np.arange(len(texts)), [len(found) for found in words])
    return owners, np.array([checksums[word] for found in words for word in found], dtype=np.int64) % BITS


def _trigrams(texts: Sequence[str]) -> tuple[Codes, Codes]:
    """The owner and the hash of each text's distinct byte trigrams, the text's ends included."""
    shown = [f"\x02{text}\x03".encode() for text in texts]
    sizes = np.array([len(text) for text in shown], dtype=np.int64)
    letters = np.frombuffer(b"".join(shown), dtype=np.uint8).astype(np.uint32)
    mixed = (letters[:-2] << 16 | letters[1:-1] << 8 | letters[2:]) * np.uint32(2654435761) >> 16
    owners = np.repeat(np.arange(len(texts)), sizes)[: len(mixed)]
    inside = np.arange(len(mixed)) < (np.cumsum(sizes) - 2)[owners]  # not from one text into the next
    codes = distinct(owners[inside] << 16 | mixed[inside].astype(np.int64))
    return codes >> 16, codes & (BITS - 1)
