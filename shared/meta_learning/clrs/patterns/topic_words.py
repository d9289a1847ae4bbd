"""How often each word opens up in the inputs: lately, and before. Topics that come and go show as words that do."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from meta_learning.clrs.coherence.words import BUCKETS, HashedPairs, bucket

RECENT_MAX = 5  # cycles
BIRTH_CYCLES = 3
BEFORE_MIN = 500  # inputs
BEFORE_MAX = 5_000.0  # then the oldest fade
SHARE_MIN = 0.04  # of the inputs: a topic that is there
SHARE_GONE = 0.01  # a topic that is not
FALL_MIN = 4.0
P_MAX = 1e-4
WORDS_MIN = 2  # one word is a fashion, two are a topic
WORDS_TOLD = 5
NAMES_MAX = 512
NAMED_FROM = 3
NAME_CHARS_MAX = 64
STEPS = 8.0  # counts of before are kept in eighths, so that what is saved is what there is


class TopicWords:
    """Document counts of 4,096 hashed words in the last five cycles and before; 40 KB in memory, a few as JSON.

    A word has come (or gone) when its count in the last three (five) cycles is too high (low) for a draw without
    replacement from all inputs (hypergeometric, Fisher's exact test), at 1e-4 after Bonferroni over all 4,096.
    """

    def __init__(self) -> None:
        self._recent: list[tuple[int, NDArray[np.int64]]] = []
        self._before = np.zeros(BUCKETS)
        self._before_inputs = 0.0
        self._names: dict[int, str] = {}

    def update(self, hashed: HashedPairs) -> None:
        """Count one cycle's inputs."""
        indices = np.concatenate(hashed.inputs) if hashed.inputs else np.zeros(0, dtype=np.int64)
        self._recent.append((len(hashed.inputs), np.bincount(indices, minlength=BUCKETS)))
        if len(self._recent) > RECENT_MAX:
            inputs, counts = self._recent.pop(0)
            self._before, self._before_inputs = self._before + counts, self._before_inputs + inputs
            if self._before_inputs > BEFORE_MAX:
                self._before = np.rint(self._before * (BEFORE_MAX / self._before_inputs) * STEPS) / STEPS
                self._before_inputs = BEFORE_MAX
        self._name(hashed)

    def _name(self, hashed: HashedPairs) -> None:
        often = Counter(word for words in hashed.input_words for word in words)
        for word, count in often.items():
            if count >= NAMED_FROM:
                self._names[bucket(word)] = word[:NAME_CHARS_MAX]
        while len(self._names) > NAMES_MAX:
            del self._names[next(iter(self._names))]

    def born(self) -> tuple[float, list[str]] | None:
        """Share of the last inputs that the commonest new word is in, and the new words; None without a new topic."""
        inputs, counts = self._lately(BIRTH_CYCLES)
        if self._before_inputs < BEFORE_MIN or not inputs:
            return None
        rare = self._before <= SHARE_GONE * self._before_inputs
        found = np.flatnonzero(rare & (counts >= SHARE_MIN * inputs))
        return self._topic(found, inputs, counts, hypergeom.sf, counts - 1)

    def gone(self) -> tuple[float, list[str]] | None:
        """Share of the inputs that the commonest lost word was in, and the lost words; None when no topic has gone."""
        inputs, counts = self._lately(RECENT_MAX)
        if self._before_inputs < BEFORE_MIN or len(self._recent) < RECENT_MAX:
            return None
        shares = self._before / self._before_inputs
        found = np.flatnonzero((shares >= SHARE_MIN) & (counts * FALL_MIN <= shares * inputs))
        return self._topic(found, inputs, self._before * inputs / self._before_inputs, hypergeom.cdf, counts)

    def _topic(
        self, found: NDArray[np.int64], inputs: int, counts: NDArray[Any], tail: Any, seen: NDArray[np.int64]
    ) -> tuple[float, list[str]] | None:
        if len(found) < WORDS_MIN:
            return None
        before = np.rint(self._before[found]).astype(np.int64)
        _, lately = self._lately(RECENT_MAX if tail == hypergeom.cdf else BIRTH_CYCLES)
        total = int(self._before_inputs) + inputs
        chances = tail(seen[found], total, before + lately[found], inputs) * BUCKETS
        sure = found[chances < P_MAX]
        sure = sure[np.argsort(-counts[sure], kind="stable")]
        words = [self._names[index] for index in sure.tolist() if index in self._names]
        if len(words) < WORDS_MIN:
            return None
        return float(counts[sure[0]]) / inputs, words[:WORDS_TOLD]

    def _lately(self, cycles: int) -> tuple[int, NDArray[np.int64]]:
        last = self._recent[-cycles:]
        total = np.zeros(BUCKETS, dtype=np.int64)
        for _, counts in last:
            total += counts
        return sum(inputs for inputs, _ in last), total

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "recent": [[inputs, _packed(counts)] for inputs, counts in self._recent],
            "before": _packed(self._before * STEPS),
            "before_inputs": self._before_inputs,
            "names": [[index, name] for index, name in self._names.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._recent = [(inputs, _unpacked(counts)) for inputs, counts in state["recent"]]
        self._before = _unpacked(state["before"]) / STEPS
        self._before_inputs = state["before_inputs"]
        self._names = dict(state["names"])


def _packed(counts: NDArray[Any]) -> str:
    held = np.flatnonzero(counts)
    rows = np.stack([held, counts[held]]).astype("<u4")
    return base64.b64encode(zlib.compress(rows.tobytes(), 1)).decode()


def _unpacked(text: str) -> NDArray[np.int64]:
    held, values = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<u4").reshape(2, -1)
    counts = np.zeros(BUCKETS, dtype=np.int64)
    counts[held] = values
    return counts
