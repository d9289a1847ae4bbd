"""Some texts, kept as what a comparison needs: hashed words, descriptors, segments, and names for frequent buckets."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.drift.hashed_rows import BUCKETS, Checksums, HashedRows, tokens_of
from meta_learning.clrs.drift.text_style import STYLES
from meta_learning.clrs.drift.vocabulary import Vocabulary

NAMED_FROM = 2  # texts with a word, from which the word itself is kept
WORD_CHARS_MAX = 32
MOVED_MAX = 8
MOVED_SURE = 3.0  # standard errors


class TextSample:
    """Rows of word buckets, descriptors of shape (texts, 12), the texts' segments, and a word for each bucket met twice.

    >>> sample = TextSample()
    >>> sample.add(["one two", "two three"], [None, "en"], Vocabulary())
    >>> len(sample), sample.described.shape, list(sample.names.values())
    (2, (2, 12), ['two'])
    """

    def __init__(self) -> None:
        self.rows = HashedRows.none()
        self.described: NDArray[np.float32] = np.zeros((0, STYLES + 2), dtype=np.float32)
        self.segments: list[str | None] = []
        self._names: dict[int, str] = {}
        self._once: dict[int, str] = {}  # words met in one text so far; dropped with the sample's growth
        self._unnamed: list[list[str]] = []  # tokens of texts whose words were not looked at for names yet

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, texts: Sequence[str], segments: Sequence[str | None], vocabulary: Vocabulary) -> None:
        """Fold texts in; ``vocabulary`` says what is new in them."""
        if not texts:
            return
        known = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        places, distinct, checksums = [known[text] for text in texts], list(known), Checksums()
        tokens = [tokens_of(text) for text in distinct]
        rows = HashedRows.of(tokens, checksums)
        described = vocabulary.described(distinct, checksums).astype(np.float32)
        if len(distinct) < len(texts):  # equal texts, as labels are, are looked at once
            rows, described = rows.taken(places), described[places]
        self.rows, self.described = self.rows + rows, np.concatenate([self.described, described])
        self.segments += segments
        self._unnamed += [tokens[place] for place in places]

    @property
    def names(self) -> dict[int, str]:
        """A word of each bucket that two texts have; looked for when asked, which most windows are not."""
        for tokens in self._unnamed:
            for token in tokens:
                self._name(token[:WORD_CHARS_MAX], zlib.crc32(token.encode()) % BUCKETS)
        self._unnamed = []
        return self._names

    def _name(self, word: str, place: int) -> None:
        if place in self._names:
            return
        if self._once.pop(place, None) is not None:
            self._names[place] = word
        else:
            self._once[place] = word

    def keep(self, size: int) -> None:
        """Forget all but the last ``size`` texts, and the words that are no longer in two of them."""
        if len(self) <= size:
            return
        names = self.names  # of all texts, those to be forgotten too: as if a snapshot had asked for them before
        self.rows, self.segments = self.rows.last(size), self.segments[-size:]
        self.described = self.described[-size:]
        counts = self.rows.counts()
        self._names = {place: word for place, word in names.items() if counts[place] >= NAMED_FROM}
        self._once = {place: word for place, word in self._once.items() if counts[place]}

    def settle(self) -> None:
        """No more texts will come: forget the words that only a second text would have named."""
        self._names, self._once = self.names, {}

    def state(self) -> dict[str, Any]:
        """JSON."""
        numbers = base64.b64encode(zlib.compress(self.described.astype("<f4").tobytes(), 6)).decode()
        return {
            "rows": self.rows.packed(),
            "described": numbers,
            "segments": self.segments,
            "names": [[place, word] for place, word in self.names.items()],
            "once": [[place, word] for place, word in self._once.items()],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Read `state` back."""
        sample = cls()
        sample.rows, sample.segments = HashedRows.unpacked(state["rows"]), list(state["segments"])
        raw = zlib.decompress(base64.b64decode(state["described"]))
        sample.described = np.frombuffer(raw, "<f4").astype(np.float32).reshape(-1, STYLES + 2)
        sample._names = dict(state["names"])
        sample._once = dict(state["once"])
        return sample


def moved_words(reference: TextSample, recent: TextSample) -> list[tuple[str, float]]:
    """The words whose share of texts changed most surely, with the signed change; most sure first."""
    n, m = len(recent), len(reference)
    now, before = recent.rows.counts(), reference.rows.counts()
    share = (now + before) / (n + m)
    change = now / n - before / m
    z = np.abs(change) / np.sqrt(np.maximum(share * (1.0 - share), 1e-9) * (1.0 / n + 1.0 / m))
    found = []
    for place in np.argsort(-z, kind="stable")[:MOVED_MAX].tolist():
        sources = (recent.names, reference.names) if change[place] > 0 else (reference.names, recent.names)
        word = sources[0].get(place) or sources[1].get(place)
        if z[place] >= MOVED_SURE and word is not None and math.isfinite(z[place]):
            found.append((word, float(change[place])))
    return found
