"""What every pattern has: a name, one reading at a time, and a state that is small and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from meta_learning.clrs.coherence.words import HashedPairs
from meta_learning.clrs.exchange import Exchange
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.patterns.topic_words import TopicWords


@dataclass(frozen=True, slots=True)
class Reading:
    """One cycle as the patterns see it; what is not known is None or empty.

    ``predictions`` were made before the cycle was learnt. ``probe_answers`` are the champion's on the fixed probe, whose
    first items were scored ``probe_scores``; ``probe_candidate`` those of the model that learns.
    ``topics`` has already counted this cycle.
    """

    cycle: int
    exchanges: Sequence[Exchange]
    scores: Floats
    hashed: HashedPairs
    topics: TopicWords
    predictions: Floats | None = None
    probe_answers: Floats | None = None
    probe_scores: Floats | None = None
    probe_candidate: Floats | None = None
    diversity: dict[str, float | None] | None = None
    alignment_state: str = "undecided"


class Evidence(NamedTuple):
    """Why a pattern is there in this cycle: numbers, and a sentence in plain words."""

    numbers: dict[str, float]
    sentence: str


class Pattern(Protocol):
    """A pattern that is looked for in every cycle; constant memory."""

    name: str

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle; evidence when the pattern is there now."""

    def state(self) -> dict[str, Any]:
        """JSON."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
