"""The metrics collected from the current view when Prometheus asks, so that none can be forgotten or outlive its loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from meta_learning.clrs import LoopSettings
from services.monitor.folding import Loop
from services.monitor.metrics import METRICS, Metric
from services.monitor.view import View

SCORES = ("drift", "alignment", "coherence")
OUTCOMES = ("accepted", "duplicate", "conflict", "parked", "replayed", "trimmed")
# There from a loop's beginning: a counter that first appears at 1 has no increase, so the first rejection would alert nobody.
DECISIONS = {"promoted": 0, "held": 0, "rejected": 0}
ENDINGS = {"failed": 0}
Row = tuple[tuple[str, ...], float | None]


class MonitorCollector(Collector):
    """A collector for one registry, over one view."""

    def __init__(self, view: View, settings: LoopSettings) -> None:
        self._view = view
        self._settings = settings

    def describe(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """The families without samples, so that registering reads nothing."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Every family with its samples of this moment."""
        rows: dict[str, list[Row]] = {metric.name: [] for metric in METRICS}
        for name, labels, value in self._samples():
            rows[name].append((labels, value))
        for metric in METRICS:
            family = _family(metric)
            for labels, value in rows[metric.name]:
                if value is not None:
                    family.add_metric(labels, value)
            yield family

    def _samples(self) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
        for name, loop in self._view.loops().items():
            yield from _scores(name, loop)
            yield from _behind_scores(name, loop.scores)
            yield from _counts(name, loop)
        yield from self._system()
        yield from self._own_health()
        yield "meta_learning_cycle_size", (), self._settings.cycle_size
        yield "meta_learning_score_threshold", ("drift",), self._settings.drift_threshold
        yield "meta_learning_score_threshold", ("alignment",), self._settings.alignment_threshold

    def _system(self) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
        system = self._view.system
        yield "meta_learning_broker_up", (), float(system.is_broker_up)
        yield "meta_learning_dead_letters", (), system.dead_letters_count
        for outcome in OUTCOMES:
            yield "meta_learning_log_events_total", (outcome,), system.totals.get(outcome)
        for lag in system.lags:
            labels = (lag.role, str(lag.partition), lag.stream)
            yield "meta_learning_reader_lag_entries", labels, lag.entries_count
            yield "meta_learning_reader_oldest_age_seconds", labels, lag.oldest_age_s
        runs = Counter(run.state for loop in self._view.loops().values() for run in loop.state.runs)
        for state in ("requested", "running", "cancelling", "ended"):
            yield "meta_learning_evolution_runs", (state,), runs[state]

    def _own_health(self) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
        states = Counter(status.state for status in self._view.partitions.values())
        for state in ("starting", "standby", "folding", "down"):
            yield "meta_learning_monitor_partitions", (state,), states[state]
        yield "meta_learning_monitor_live_clients", (), self._view.live_clients_count
        for number, status in self._view.partitions.items():
            labels = (str(number),)
            yield "meta_learning_monitor_last_commit_timestamp_seconds", labels, status.committed_at_s
            if status.view is not None:
                yield "meta_learning_monitor_skipped_total", labels, status.view.unreadable.skipped_count
                yield "meta_learning_monitor_parked_total", labels, status.view.unreadable.parked_count


def _family(metric: Metric) -> GaugeMetricFamily | CounterMetricFamily:
    make = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
    return make(metric.name, metric.sentence, labels=metric.labels)


def _scores(name: str, loop: Loop) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
    scores: dict[str, Any] = loop.scores
    drift = scores.get("drift") or {}
    yield "meta_learning_drift_score", (name, "overall"), drift.get("current")
    for kind, found in (drift.get("kinds") or {}).items():
        yield "meta_learning_drift_score", (name, kind), found.get("current") if isinstance(found, dict) else found
    for score in SCORES:
        found = scores.get(score) or {}
        if score != "drift":
            yield f"meta_learning_{score}_score", (name,), found.get("current")
        if found.get("current") is not None:
            yield "meta_learning_score_low", (name, score), found.get("low")
            yield "meta_learning_score_high", (name, score), found.get("high")
        yield "meta_learning_score_samples", (name, score), found.get("n")
    if loop.state.cycled_at is not None:
        yield "meta_learning_score_timestamp_seconds", (name,), loop.state.cycled_at.timestamp()


def _behind_scores(name: str, scores: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
    alignment, coherence, patterns = (scores.get(part) or {} for part in ("alignment", "coherence", "patterns"))
    worst = alignment.get("worst_segment") or {}
    yield "meta_learning_alignment_worst_segment", (name,), worst.get("low")
    if alignment.get("ceiling_source") not in {None, "unknown"}:
        yield "meta_learning_alignment_ceiling", (name,), alignment.get("ceiling")
    yield "meta_learning_calibration_error", (name,), alignment.get("calibration_error")
    yield "meta_learning_user_disagreement", (name,), alignment.get("disagreement")
    for measure, value in (coherence.get("diversity") or {}).items():
        yield "meta_learning_output_diversity", (name, measure), value
    active = {found["name"] for found in patterns.get("active") or ()}
    for pattern in patterns.get("watched") or ():
        yield "meta_learning_pattern_active", (name, pattern), float(pattern in active)


def _counts(name: str, loop: Loop) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
    state = loop.state
    yield "meta_learning_events_monitored_total", (name,), state.monitored_count
    yield "meta_learning_events_trained_total", (name,), state.trained_count
    yield "meta_learning_events_capped_total", (name,), state.capped_count
    yield "meta_learning_events_distrusted_total", (name,), state.distrusted_count
    yield "meta_learning_events_unlearnt_total", (name,), state.unlearnt_count
    yield "meta_learning_events_open", (name,), state.open_count
    yield "meta_learning_cycles_unscored_total", (name,), state.unscored_count
    if state.monitored_at is not None:
        yield "meta_learning_events_last_timestamp_seconds", (name,), state.monitored_at.timestamp()
    for decision, count in (DECISIONS | state.decisions).items():
        yield "meta_learning_cycles_total", (name, decision), count
    for cause, count in state.promotions_count.items():
        yield "meta_learning_promotions_total", (name, "model", cause), count
    for cause, count in state.prompts_count.items():
        yield "meta_learning_promotions_total", (name, "prompt", cause), count
    for outcome, count in (ENDINGS | state.outcomes).items():
        yield "meta_learning_evolution_outcomes_total", (name, outcome), count
