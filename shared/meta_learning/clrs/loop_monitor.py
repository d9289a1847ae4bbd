"""Watches one loop: folds its cycles into drift, alignment and coherence, and remembers a bounded history."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from meta_learning.clrs.alignment_scorer import AlignmentScorer
from meta_learning.clrs.coherence.words import HashedPairs
from meta_learning.clrs.coherence_analyzer import CoherenceAnalyzer
from meta_learning.clrs.drift_detector import DriftDetector, Scored
from meta_learning.clrs.exchange import Exchange
from meta_learning.clrs.gating.batch import kept_of
from meta_learning.clrs.gating.judging import ROLLED_BACK
from meta_learning.clrs.loop_state import WHAT_TO_DO
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.patterns.port import Reading
from meta_learning.clrs.patterns.watch import PatternWatch
from meta_learning.clrs.settings import LoopSettings
from meta_learning.errors import ConfigurationError, MalformedState
from meta_learning.events import CycleCompleted

REFERENCE_FIELDS = ("input", "output")
SCORES = ("drift", "alignment", "coherence")
ALARMS_MAX = 50
VERSIONS_MAX = 50


class LoopMonitor:
    """A pure fold over `CycleCompleted` events and the pairs of their feedback: whoever folds the same has the same scores.

    `ClosedLoopSystem` owns one; the monitor service runs its own on the stream, and at equal offset both summaries are equal.
    Memory: 0.8 MB a loop (measured): two text references of 1,000 rows and their vocabularies, 20 histograms and moments, the last
    thousand judged predictions, 512 users and answers, one probe of answers; some 150 KB as JSON.
    """

    def __init__(self, settings: LoopSettings | None = None) -> None:
        self.settings = settings or LoopSettings()
        self.drift = DriftDetector(self.settings.drift_threshold, seed=self.settings.seed)
        self.alignment = AlignmentScorer(self.settings.alignment_threshold)
        self.coherence = CoherenceAnalyzer()
        self.patterns = PatternWatch()
        self.cycles = 0
        self.events = 0
        self.decisions: Counter[str] = Counter()
        self._probe_scores: list[float] = []
        self._history: list[dict[str, Any]] = []
        self._versions: list[dict[str, Any]] = []
        self._alarms: list[dict[str, Any]] = []
        self._raised: list[str] = []

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
        begun = self._measure(cycle, exchanges)
        self._raise(cycle, begun)
        self._remember(cycle)

    def _measure(self, cycle: CycleCompleted, exchanges: Sequence[Exchange]) -> list[str]:
        pairs = [exchange.pair for exchange in exchanges]
        predicted, probe, true = (
            _array(cycle.predictions),
            _array(cycle.probe_champion),
            np.array(cycle.feedback_scores),
        )
        constant, control = cycle.numbers.get("constant"), _array(cycle.control_predictions)
        believed = kept_of(len(pairs), {"distrusted": cycle.left_out.get("distrusted", ())})
        scored = None if predicted is None or constant is None else Scored(predicted, constant, true, believed)
        self.drift.update(
            input_texts=[asked for asked, _ in pairs],
            output_texts=[answered for _, answered in pairs],
            probe_answers=probe if probe is not None and len(probe) >= self.settings.probe_size else None,
            scored=scored,
            segments=[exchange.segment for exchange in exchanges],
            control=None if control is None or cycle.control_version is None else (cycle.control_version, control),
        )
        if predicted is not None:
            heard = [exchanges[place] for place in np.flatnonzero(believed).tolist()]
            self.alignment.update(predicted[believed], true[believed], heard)
        scores = np.array(self._probe_scores) if probe is not None else None
        hashed = HashedPairs.of(pairs)
        self.coherence.update(pairs, predicted, probe, scores, cycle.probe_perturbed, hashed)
        self.patterns.topics.update(hashed)
        return self.patterns.update(
            Reading(
                cycle=cycle.cycle,
                exchanges=exchanges,
                scores=true,
                hashed=hashed,
                topics=self.patterns.topics,
                predictions=predicted,
                probe_answers=probe,
                probe_scores=scores,
                probe_candidate=_array(cycle.probe_candidate),
                diversity=self.coherence.diversity,
                alignment_state=str(self.alignment.result()["state"]),
            )
        )

    def _raise(self, cycle: CycleCompleted, begun: Sequence[str]) -> None:
        """Keep what begins to be wrong in this cycle: a score that crosses its threshold, a pattern that appears."""
        drift, alignment = self.drift.result(), self.alignment.result()
        now = {
            "drift": f"drift {drift['current']:.2f} by {drift['set_by']}, above {drift['threshold']}"
            if drift["drifted"]
            else None,
            "alignment": f"alignment is surely below {alignment['threshold']}: {alignment['high']:.2f} at most"
            if alignment["state"] == "misaligned"
            else None,
        }
        told = {name: sentence for name, sentence in now.items() if sentence and name not in self._raised}
        seen = self.patterns.result()["last_seen"]
        told |= {f"pattern:{name}": seen[name]["sentence"] for name in begun}
        self._raised = [name for name, sentence in now.items() if sentence]
        fresh = [{"cycle": cycle.cycle, "alarm": name, "sentence": sentence} for name, sentence in told.items()]
        self._alarms = [*self._alarms, *fresh][-ALARMS_MAX:]

    def _remember(self, cycle: CycleCompleted) -> None:
        champion, cause = _taken_over(cycle)
        if champion is not None and (not self._versions or self._versions[-1]["version"] != champion):
            begun = {
                "version": champion,
                "cycle": cycle.cycle,
                "cause": cause,
            }
            self._versions = [*self._versions, begun][-VERSIONS_MAX:]
        found = dict(zip(SCORES, (self.drift.result(), self.alignment.result(), self.coherence.result()), strict=True))
        line = {
            "cycle": cycle.cycle,
            "occurred_at": cycle.occurred_at.isoformat(),
            "decision": cycle.decision,
            "reasons": list(cycle.reasons),
            **{name: found[name]["current"] for name in SCORES},
            "intervals": {name: [found[name]["low"], found[name]["high"]] for name in SCORES},
            "brier": cycle.numbers.get("brier_champion"),
            "brier_constant": cycle.numbers.get("brier_constant"),
            "champion_version": champion,
        }
        self._history = [*self._history, line][-self.settings.history_count_max :]

    def summary(self) -> dict[str, Any]:
        """The three scores, patterns and alarms as of the last completed cycle, with the history of the last cycles."""
        return {
            "cycles": self.cycles,
            "events": self.events,
            "decisions": {name: self.decisions[name] for name in ("promoted", "held", "rejected")},
            "drift": self.drift.result(),
            "alignment": self.alignment.result(),
            "coherence": self.coherence.result(),
            "patterns": self.patterns.result(),
            "alarms": [dict(alarm) for alarm in self._alarms],
            "versions": [dict(version) for version in self._versions],
            "thresholds": {"drift": self.settings.drift_threshold, "alignment": self.settings.alignment_threshold},
            "samples": {"cycle": self.settings.cycle_size, "probe": len(self._probe_scores), "events": self.events},
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
            "patterns": self.patterns.state(),
            "versions": self._versions,
            "alarms": self._alarms,
            "raised": self._raised,
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
            monitor.patterns.restore(state["patterns"])
            monitor._versions, monitor._alarms = list(state["versions"]), list(state["alarms"])
            monitor._raised = list(state["raised"])
            monitor.cycles, monitor.events = int(state["cycles"]), int(state["events"])
            monitor.decisions = Counter(state["decisions"])
            monitor._probe_scores, monitor._history = list(state["probe_scores"]), list(state["history"])
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedState(
                f"not a monitor's state, or that of another release ({error!r}): {WHAT_TO_DO}"
            ) from error
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


def _taken_over(cycle: CycleCompleted) -> tuple[str | None, str]:
    """The champion after this cycle, and what made it champion if it is a new one."""
    if cycle.decision == "promoted":
        return cycle.candidate_version, "gate"
    if cycle.shadow_version is not None and cycle.reasons and cycle.reasons[0].startswith(ROLLED_BACK):
        return cycle.shadow_version, "rollback"
    return cycle.champion_version, "operator"


def _array(numbers: Sequence[float] | None) -> Floats | None:
    return None if numbers is None else np.array(numbers, dtype=np.float64)
