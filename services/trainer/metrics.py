"""Every metric of the trainer, each with a sentence."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from meta_learning.events import ModelPromoted
from services.trainer.loops import Folded

PREFIX = "meta_learning_trainer"


class TrainerMetrics:
    """The trainer's numbers, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._folded = Counter(
            f"{PREFIX}_entries_total",
            "Entries of the feedback stream that were folded and committed.",
            registry=self.registry,
        )
        self._parked = Counter(
            f"{PREFIX}_parked_total",
            "Entries that could not be read and went to the dead letters.",
            registry=self.registry,
        )
        self._trained = Counter(
            f"{PREFIX}_trained_total",
            "Pieces of feedback that a candidate was trained on.",
            ["loop"],
            registry=self.registry,
        )
        self._capped = Counter(
            f"{PREFIX}_capped_total",
            "Pieces of feedback left out of training because one user sent too many of a cycle, or the same twice.",
            ["loop"],
            registry=self.registry,
        )
        self._cycles = Counter(
            f"{PREFIX}_cycles_total",
            "Training cycles by what their gates decided.",
            ["loop", "decision"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}_batch_seconds", "Time to fold and commit one batch of entries.", registry=self.registry
        )
        self._committed_at = Gauge(
            f"{PREFIX}_last_commit_timestamp_seconds",
            "When the trainer last committed, in Unix time.",
            registry=self.registry,
        )
        self.trimmed = Counter(
            f"{PREFIX}_trimmed_total",
            "Entries that were archived and then trimmed off a stream.",
            ["stream"],
            registry=self.registry,
        )
        self._watch_partitions()
        self._watch_harm()

    def _watch_harm(self) -> None:
        self._distrusted = Counter(
            f"{PREFIX}_distrusted_total",
            "Pieces of feedback left out of training because their user is distrusted.",
            ["loop"],
            registry=self.registry,
        )
        self._rollbacks = Counter(
            f"{PREFIX}_rollbacks_total",
            "Versions that were taken back because they lost, on the same events, against the one before.",
            ["loop"],
            registry=self.registry,
        )

    def _watch_partitions(self) -> None:
        self.partitions_owned = Gauge(
            f"{PREFIX}_partitions_owned", "Partitions that this process owns now.", registry=self.registry
        )
        self.partitions_stopped = Gauge(
            f"{PREFIX}_partitions_stopped",
            "Partitions that this process owns but does not fold: too many dead letters, lost state, a full disk.",
            registry=self.registry,
        )

    def committed(self, folded: Folded, seconds: float) -> None:
        """Count what a commit brought."""
        self._folded.inc(folded.feedback_count)
        self._parked.inc(len(folded.commit.parked))
        self._seconds.observe(seconds)
        self._committed_at.set(time.time())
        for cycle in folded.cycles:
            self._trained.labels(cycle.loop).inc(cycle.trained_count)
            self._capped.labels(cycle.loop).inc(cycle.capped_count)
            self._distrusted.labels(cycle.loop).inc(cycle.distrusted_count)
            self._cycles.labels(cycle.loop, cycle.decision).inc()
        for event in folded.commit.emit:
            if isinstance(event, ModelPromoted) and event.cause == "rollback":
                self._rollbacks.labels(event.loop).inc()
