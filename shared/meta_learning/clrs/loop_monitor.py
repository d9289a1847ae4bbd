"""Watches one loop: folds its cycles into drift, alignment and coherence, and remembers a bounded history."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from meta_learning.clrs.alignment_scorer import AlignmentScorer
from meta_learning.clrs.coherence_analyzer import CoherenceAnalyzer
from meta_learning.clrs.drift_detector import DriftDetector
from meta_learning.clrs.exchange import Exchange
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.settings import LoopSettings
from meta_learning.errors import ConfigurationError, MalformedState
from meta_learning.events import CycleCompleted

REFERENCE_FIELDS = ("input", "output")


class LoopMonitor:
    """A pure fold over `CycleCompleted` events and the pairs of their feedback: whoever folds the same has the same scores.

    `ClosedLoopSystem` owns one; the monitor service runs its own on the stream, and at equal offset both summaries are equal.
    Memory: two text references of 500 rows (0.2 MB at most), 20 histograms and moments, one probe of answers.
    """

    def __init__(self, settings: LoopSettings | None = None) -> None:
        self.settings = settings or LoopSettings()
        self.drift = DriftDetector(self.settings.drift_threshold, seed=self.settings.seed)
        self.alignment = AlignmentScorer(self.settings.alignment_threshold)
        self.coherence = CoherenceAnalyzer()
        self.cycles = 0
        self.events = 0
        self.decisions: Counter[str] = Counter()
        self._probe_scores: list[float] = []
        self._history: list[dict[str, Any]] = []

    def observe(self, cycle: CycleCompleted, exchanges: Sequence[Exchange]) -> None:
        """Fold one completed cycle; ``exchanges`` are its pieces of feedback in the order of its events.

        Raises:
            ConfigurationError: ``exchanges`` are not as many as the cycle's events.
        """
        if len(exchanges) != cycle.events_count:
            raise ConfigurationError(
                f"cycle {cycle.cycle} has {cycle.events_count} events; {len(exchanges)} exchanges were given"
            )
        self.cycles, self.events = cycle.cycle, self.events + cycle.events_count
        self.decisions[cycle.decision] += 1
        wanted = self.settings.probe_size - len(self._probe_scores)
        self._probe_scores += cycle.feedback_scores[: max(wanted, 0)]
        self._measure(cycle, exchanges)
        self._remember(cycle)

    def _measure(self, cycle: CycleCompleted, exchanges: Sequence[Exchange]) -> None:
        pairs = [exchange.pair for exchange in exchanges]
        predicted, probe, true = (
            _array(cycle.predictions),
            _array(cycle.probe_champion),
            np.array(cycle.feedback_scores),
        )
        constant = cycle.numbers.get("constant")
        scored = None if predicted is None or constant is None else (predicted, constant, true)
        self.drift.update(
            input_texts=[asked for asked, _ in pairs],
            output_texts=[answered for _, answered in pairs],
            probe_answers=probe if probe is not None and len(probe) >= self.settings.probe_size else None,
            scored=scored,
        )
        if predicted is not None:
            self.alignment.update(predicted, true, exchanges)
        scores = np.array(self._probe_scores) if probe is not None else None
        self.coherence.update(pairs, predicted, probe, scores, cycle.probe_perturbed)

    def _remember(self, cycle: CycleCompleted) -> None:
        line = {
            "cycle": cycle.cycle,
            "occurred_at": cycle.occurred_at.isoformat(),
            "decision": cycle.decision,
            "reasons": list(cycle.reasons),
            "drift": self.drift.score(),
            "alignment": self.alignment.score(),
            "coherence": self.coherence.score(),
            "brier": cycle.numbers.get("brier_champion"),
            "brier_constant": cycle.numbers.get("brier_constant"),
            "champion_version": cycle.candidate_version if cycle.decision == "promoted" else cycle.champion_version,
        }
        self._history = [*self._history, line][-self.settings.history_count_max :]

    def summary(self) -> dict[str, Any]:
        """Drift, alignment and coherence as of the last completed cycle, with the history of the last cycles."""
        return {
            "cycles": self.cycles,
            "events": self.events,
            "decisions": {name: self.decisions[name] for name in ("promoted", "held", "rejected")},
            "drift": self.drift.result(),
            "alignment": self.alignment.result(),
            "coherence": self.coherence.result(),
            "history": [dict(line) for line in self._history],
        }

    def split(self) -> tuple[bytes, bytes]:
        """The state as JSON, and apart from it the text references, which stay the same once they are full."""
        drift = self.drift.state()
        references = {name: drift[name].pop("reference") for name in REFERENCE_FIELDS}
        state = {
            "cycles": self.cycles,
            "events": self.events,
            "decisions": dict(self.decisions),
            "probe_scores": self._probe_scores,
            "history": self._history,
            "drift": drift,
            "alignment": self.alignment.state(),
            "coherence": self.coherence.state(),
        }
        return json.dumps(state, sort_keys=True).encode(), json.dumps(references, sort_keys=True).encode()

    @classmethod
    def joined(cls, blob: bytes, references: bytes, settings: LoopSettings | None = None) -> Self:
        """Read `split` back.

        Raises:
            MalformedState: parts are missing or damaged.
        """
        monitor = cls(settings)
        try:
            state, found = json.loads(blob), json.loads(references)
            drift = dict(state["drift"])
            for name in REFERENCE_FIELDS:
                drift[name] = {**drift[name], "reference": found[name]}
            plain = monitor.settings
            monitor.drift = DriftDetector.from_state(drift, threshold=plain.drift_threshold, seed=plain.seed)
            monitor.alignment = AlignmentScorer.from_state(state["alignment"], threshold=plain.alignment_threshold)
            monitor.coherence = CoherenceAnalyzer.from_state(state["coherence"])
            monitor.cycles, monitor.events = int(state["cycles"]), int(state["events"])
            monitor.decisions = Counter(state["decisions"])
            monitor._probe_scores, monitor._history = list(state["probe_scores"]), list(state["history"])
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedState(f"not a monitor's state: {error!r}") from error
        return monitor

    def dump(self) -> bytes:
        """The whole state as JSON bytes: equal states give equal bytes."""
        state, references = self.split()
        return b'{"references": ' + references + b', "state": ' + state + b"}"

    @classmethod
    def load(cls, blob: bytes, settings: LoopSettings | None = None) -> Self:
        """Read `dump` back; the settings are not part of it.

        Raises:
            MalformedState: no such dump.
        """
        try:
            data = json.loads(blob)
            state, references = (json.dumps(data[name], sort_keys=True).encode() for name in ("state", "references"))
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedState(f"not a monitor's state: {error!r}") from error
        return cls.joined(state, references, settings)


def _array(numbers: Sequence[float] | None) -> Floats | None:
    return None if numbers is None else np.array(numbers, dtype=np.float64)
