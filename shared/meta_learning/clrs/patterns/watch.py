"""Looks for every pattern in every cycle, and remembers which are there and when each was last seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meta_learning.clrs.patterns.collapse import Collapse
from meta_learning.clrs.patterns.label_inversion import LabelInversion
from meta_learning.clrs.patterns.oscillation import Oscillation
from meta_learning.clrs.patterns.plateau import Plateau
from meta_learning.clrs.patterns.polarisation import Polarisation
from meta_learning.clrs.patterns.port import Evidence, Pattern, Reading
from meta_learning.clrs.patterns.segment_divergence import SegmentDivergence
from meta_learning.clrs.patterns.sycophancy import Sycophancy
from meta_learning.clrs.patterns.topic_birth import TopicBirth
from meta_learning.clrs.patterns.topic_death import TopicDeath
from meta_learning.clrs.patterns.topic_words import TopicWords

PATTERNS: dict[str, Callable[[], Pattern]] = {
    "collapse": Collapse,
    "polarisation": Polarisation,
    "sycophancy": Sycophancy,
    "topic_birth": TopicBirth,
    "topic_death": TopicDeath,
    "segment_divergence": SegmentDivergence,
    "oscillation": Oscillation,
    "label_inversion": LabelInversion,
    "plateau": Plateau,
}
QUIET_CYCLES = 3  # without new evidence, and a pattern is over


class PatternWatch:
    """All patterns of one loop; a finding is active from its first evidence until three cycles have passed without."""

    def __init__(self) -> None:
        self.topics = TopicWords()
        self._patterns = {name: make() for name, make in PATTERNS.items()}
        self._seen: dict[str, dict[str, Any]] = {}
        self._active: list[str] = []

    def update(self, reading: Reading) -> list[str]:
        """Fold one cycle, whose words ``topics`` has counted; the names of the patterns that begin with it."""
        begun = []
        for name, pattern in self._patterns.items():
            evidence = pattern.update(reading)
            if evidence is not None:
                begun += [name] if name not in self._active else []
                self._see(name, evidence, reading.cycle)
            elif name in self._active and reading.cycle - self._seen[name]["last_cycle"] >= QUIET_CYCLES:
                self._active.remove(name)
        return begun

    def _see(self, name: str, evidence: Evidence, cycle: int) -> None:
        since = self._seen[name]["since_cycle"] if name in self._active else cycle
        if name not in self._active:
            self._active = [known for known in PATTERNS if known in self._active or known == name]
        numbers = {key: round(float(number), 6) for key, number in evidence.numbers.items()}
        self._seen[name] = {
            "name": name,
            "since_cycle": since,
            "last_cycle": cycle,
            "numbers": numbers,
            "sentence": evidence.sentence,
        }

    def result(self) -> dict[str, Any]:
        """The active findings, the last finding of each pattern that was ever seen, and the names that are watched."""
        return {
            "active": [dict(self._seen[name]) for name in self._active],
            "last_seen": {name: dict(found) for name, found in sorted(self._seen.items())},
            "watched": list(PATTERNS),
        }

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "topics": self.topics.state(),
            "patterns": {name: pattern.state() for name, pattern in self._patterns.items()},
            "seen": self._seen,
            "active": self._active,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.topics.restore(state["topics"])
        for name, pattern in self._patterns.items():
            pattern.restore(state["patterns"][name])
        self._seen, self._active = {name: dict(found) for name, found in state["seen"].items()}, list(state["active"])
