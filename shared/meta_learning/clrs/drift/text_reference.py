"""What later texts are compared with: a vocabulary, and a sample of other texts that it describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from meta_learning.clrs.drift.text_sample import TextSample
from meta_learning.clrs.drift.vocabulary import Vocabulary


class TextReference:
    """The first half of ``size`` texts is the vocabulary, the second half the sample.

    Two halves, because a vocabulary of the sample itself would make every new text look strange.

    >>> reference = TextReference(4)
    >>> reference.fill(["a", "b", "c", "d", "e"], [None] * 5), len(reference.sample), reference.full
    (4, 2, True)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.vocabulary, self.sample = Vocabulary(), TextSample()
        self._told = 0  # texts in the vocabulary

    @property
    def count(self) -> int:
        """Texts so far."""
        return self._told + len(self.sample)

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self.count >= self.size

    def fill(self, texts: Sequence[str], segments: Sequence[str | None]) -> int:
        """Take the first of these texts until full; how many were taken."""
        half = self.size // 2
        first = min(max(half - self._told, 0), len(texts))
        if first:
            self.vocabulary.add(texts[:first])
        self._told += first
        last = first + min(max(self.size - half - len(self.sample), 0), len(texts) - first)
        self.sample.add(texts[first:last], segments[first:last], self.vocabulary)
        if self.full:
            self.sample.settle()
        return last

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"vocabulary": self.vocabulary.packed(), "count": self._told, "sample": self.sample.state()}

    @classmethod
    def from_state(cls, state: dict[str, Any], size: int) -> Self:
        """Read `state` back."""
        reference = cls(size)
        reference.vocabulary = Vocabulary.unpacked(state["vocabulary"])
        reference._told, reference.sample = state["count"], TextSample.from_state(state["sample"])
        return reference
