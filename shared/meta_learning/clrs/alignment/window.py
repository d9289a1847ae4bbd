"""Two staggered sums over batches: the older one is reported, the younger one takes its place when it is full."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from meta_learning.clrs.alignment.comparison import Tally

SEGMENTS_MAX = 32


@dataclass(slots=True)
class Epoch:
    """The tallies since one batch: over all pairs, over pairs of one user, and in each segment."""

    number: int = 1
    batches: int = 0
    events: int = 0
    everyone: Tally = field(default_factory=Tally)
    within_users: Tally = field(default_factory=Tally)
    segments: dict[str, Tally] = field(default_factory=dict)

    def fold(self, events: int, everyone: Tally, within_users: Tally, segments: dict[str, Tally]) -> None:
        """Add a batch. Of segments, the first 32 that come are told apart."""
        self.batches, self.events = self.batches + 1, self.events + events
        self.everyone, self.within_users = self.everyone + everyone, self.within_users + within_users
        for name, found in segments.items():
            if name in self.segments or len(self.segments) < SEGMENTS_MAX:
                self.segments[name] = self.segments.get(name, Tally()) + found

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "number": self.number,
            "batches": self.batches,
            "events": self.events,
            "everyone": self.everyone.numbers(),
            "within_users": self.within_users.numbers(),
            "segments": {name: found.numbers() for name, found in self.segments.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Read `state` back."""
        return cls(
            number=int(state["number"]),
            batches=int(state["batches"]),
            events=int(state["events"]),
            everyone=Tally.of_numbers(state["everyone"]),
            within_users=Tally.of_numbers(state["within_users"]),
            segments={name: Tally.of_numbers(numbers) for name, numbers in state["segments"].items()},
        )


class Window:
    """Between ``batches_max`` and twice as many batches: recent, of constant size, and each epoch its own confidence sequence.

    >>> window = Window(batches_max=2)
    >>> for _ in range(5):
    ...     window.fold(10, Tally(), Tally(), {})
    >>> window.current.batches, window.current.number
    (3, 2)
    """

    def __init__(self, batches_max: int) -> None:
        self.batches_max = batches_max
        self.current, self._next = Epoch(1), Epoch(2)
        self._passed = 0

    def fold(self, events: int, everyone: Tally, within_users: Tally, segments: dict[str, Tally]) -> None:
        """Add a batch to both epochs; every ``batches_max`` batches a younger one begins."""
        if self._passed and self._passed % self.batches_max == 0:
            if self._passed > self.batches_max:
                self.current = self._next
            self._next = Epoch(self.current.number + 1)
        for epoch in (self.current, self._next):
            epoch.fold(events, everyone, within_users, segments)
        self._passed += 1

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"current": self.current.state(), "next": self._next.state(), "passed": self._passed}

    @classmethod
    def from_state(cls, state: dict[str, Any], batches_max: int) -> Self:
        """Read `state` back."""
        window = cls(batches_max)
        window.current, window._next = Epoch.from_state(state["current"]), Epoch.from_state(state["next"])
        window._passed = int(state["passed"])
        return window
