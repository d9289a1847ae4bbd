"""Every metric of the monitor, each with a sentence; `collecting` reads them from the view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "meta_learning_monitor"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric's name, kind, sentence and labels."""

    name: str
    kind: Literal["gauge", "counter"]
    sentence: str
    labels: tuple[str, ...] = ()


METRICS = (
    Metric(
        "meta_learning_drift_score",
        "gauge",
        "How far the loop has drifted, in [0, 1], by kind; absent until it means something.",
        ("loop", "kind"),
    ),
    Metric(
        "meta_learning_alignment_score",
        "gauge",
        "How far the model orders answers as its users do, in [0, 1]; absent until it means something.",
        ("loop",),
    ),
    Metric(
        "meta_learning_coherence_score",
        "gauge",
        "How far the model agrees with itself, in [0, 1]; absent until it means something.",
        ("loop",),
    ),
    Metric(
        "meta_learning_score_low",
        "gauge",
        "Lower end of the interval of a score; `score` is drift, alignment or coherence.",
        ("loop", "score"),
    ),
    Metric("meta_learning_score_high", "gauge", "Upper end of the interval of a score.", ("loop", "score")),
    Metric("meta_learning_score_samples", "gauge", "How many observations a score rests on.", ("loop", "score")),
    Metric(
        "meta_learning_alignment_worst_segment",
        "gauge",
        "Lower bound of the alignment in the loop's worst segment of at least 50 events; absent without segments.",
        ("loop",),
    ),
    Metric(
        "meta_learning_alignment_ceiling",
        "gauge",
        "Concordance of users who judged the same answers, which is what alignment is measured against; absent while unknown.",
        ("loop",),
    ),
    Metric(
        "meta_learning_calibration_error",
        "gauge",
        "Root mean square gap between predicted and given scores in 15 bins, less what chance adds.",
        ("loop",),
    ),
    Metric(
        "meta_learning_user_disagreement",
        "gauge",
        "Share of what the model gets wrong that differs from user to user, in [0, 1].",
        ("loop",),
    ),
    Metric(
        "meta_learning_output_diversity",
        "gauge",
        "How varied the last cycle's outputs are, in [0, 1]; `measure`: distinct_2, zlib_ratio or vendi.",
        ("loop", "measure"),
    ),
    Metric(
        "meta_learning_pattern_active",
        "gauge",
        "1 while the named pattern (collapse, oscillation and others) is found in the loop, else 0.",
        ("loop", "pattern"),
    ),
    Metric(
        "meta_learning_score_timestamp_seconds",
        "gauge",
        "The time of the loop's last folded cycle, which is when its scores last changed, in Unix time.",
        ("loop",),
    ),
    Metric(
        "meta_learning_score_threshold",
        "gauge",
        "The configured threshold of a score: drift above it, or alignment below it, is worth a look.",
        ("score",),
    ),
    Metric("meta_learning_cycle_size", "gauge", "The configured number of pieces of feedback in a training cycle."),
    Metric(
        "meta_learning_cycles_total", "counter", "Training cycles by what their gates decided.", ("loop", "decision")
    ),
    Metric(
        "meta_learning_promotions_total",
        "counter",
        "Versions that took over; `what`: model or prompt; `cause`: gate, operator, rollback or evolution.",
        ("loop", "what", "cause"),
    ),
    Metric(
        "meta_learning_events_monitored_total", "counter", "Pieces of feedback that the monitor has folded.", ("loop",)
    ),
    Metric("meta_learning_events_trained_total", "counter", "Pieces of feedback that were trained on.", ("loop",)),
    Metric(
        "meta_learning_events_capped_total",
        "counter",
        "Pieces of feedback left out of training because one user sent too many of a cycle, or the same twice.",
        ("loop",),
    ),
    Metric(
        "meta_learning_events_distrusted_total",
        "counter",
        "Pieces of feedback left out of training because their user keeps contradicting what was learnt from all others.",
        ("loop",),
    ),
    Metric(
        "meta_learning_events_unlearnt_total",
        "counter",
        "Pieces of feedback of cycles whose model could not learn.",
        ("loop",),
    ),
    Metric(
        "meta_learning_events_open",
        "gauge",
        "Pieces of feedback not yet part of a cycle: monitored = trained + capped + distrusted + unlearnt + open.",
        ("loop",),
    ),
    Metric(
        "meta_learning_events_last_timestamp_seconds",
        "gauge",
        "When the loop's last monitored feedback occurred, in Unix time.",
        ("loop",),
    ),
    Metric(
        "meta_learning_cycles_unscored_total",
        "counter",
        "Cycles left out of the scores, because their texts had left memory and log before.",
        ("loop",),
    ),
    Metric(
        "meta_learning_evolution_runs",
        "gauge",
        "Evolution runs remembered, by state: requested, running, cancelling or ended.",
        ("state",),
    ),
    Metric(
        "meta_learning_evolution_outcomes_total",
        "counter",
        "Evolution runs that ended, by outcome.",
        ("loop", "outcome"),
    ),
    Metric(
        "meta_learning_log_events_total",
        "counter",
        "What became of events since first start: accepted, duplicate, conflict, parked, replayed, trimmed.",
        ("outcome",),
    ),
    Metric("meta_learning_dead_letters", "gauge", "Entries that could not be read and lie in the dead letters now."),
    Metric(
        "meta_learning_reader_lag_entries",
        "gauge",
        "Entries that a reader has not committed yet.",
        ("role", "partition", "stream"),
    ),
    Metric(
        "meta_learning_reader_oldest_age_seconds",
        "gauge",
        "Age of the oldest entry that a reader has not committed; 0 when it is level.",
        ("role", "partition", "stream"),
    ),
    Metric("meta_learning_broker_up", "gauge", "1 while the broker answers and can write, else 0."),
    Metric(
        "meta_learning_monitor_partitions",
        "gauge",
        "Partitions by the state of their fold: starting, standby (another monitor owns it), folding or down.",
        ("state",),
    ),
    Metric(
        "meta_learning_monitor_last_commit_timestamp_seconds",
        "gauge",
        "When the monitor last committed a partition, in Unix time.",
        ("partition",),
    ),
    Metric(
        "meta_learning_monitor_skipped_total",
        "counter",
        "Entries of the feedback stream that the monitor could not read (the trainer parks them).",
        ("partition",),
    ),
    Metric(
        "meta_learning_monitor_parked_total",
        "counter",
        "Entries of the events stream that the monitor could not read and parked.",
        ("partition",),
    ),
    Metric("meta_learning_monitor_live_clients", "gauge", "Live pages that are open now."),
)
