"""Every metric of the ingest service, with a sentence each.

None carries a loop: a loop's own numbers are the trainer's and the monitor's, and ten thousand loops times seven
outcomes would be the largest part of a scrape while saying little about this door.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from meta_learning.clrs.acting import Choice

PREFIX = "meta_learning_ingest"
OUTCOMES = ("accepted", "duplicate", "conflict", "too_many_loops", "back_pressure", "invalid", "unknown", "not_sent")


class IngestMetrics:
    """The metrics over one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.feedback = Counter(
            f"{PREFIX}_feedback",
            "Items of feedback that came to the door, by what became of them; unknown: the broker did not say.",
            ["outcome"],
            registry=registry,
        )
        self._outcomes = {outcome: self.feedback.labels(outcome) for outcome in OUTCOMES}
        self.batch_items = Histogram(
            f"{PREFIX}_batch_items",
            "Items in one request of the batch door.",
            buckets=(1, 10, 100, 1000, 10_000),
            registry=registry,
        )
        self.append_items = Histogram(
            f"{PREFIX}_append_items",
            "Items that one append took to the broker together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000),
            registry=registry,
        )
        self.append_seconds = Histogram(
            f"{PREFIX}_append_seconds",
            "Time until the broker had answered one append.",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )
        self.broker_failures = Counter(
            f"{PREFIX}_broker_failures", "Calls to the broker that failed or took too long.", registry=registry
        )
        self.broker_up = Gauge(
            f"{PREFIX}_broker_up", "Whether the last call to the broker was answered (1) or not (0).", registry=registry
        )
        self.waiting = Gauge(
            f"{PREFIX}_waiting_items", "Single items that wait for their append now.", registry=registry
        )
        self.body_bytes = Gauge(f"{PREFIX}_body_bytes", "Bytes of large bodies in hand now.", registry=registry)
        self.champions = Counter(
            f"{PREFIX}_champion_lookups",
            "Look-ups of a loop's champion: hit (fresh in memory), checked (pointer unchanged), loaded, none, "
            "stale (the broker or the store did not answer, the last known one was used), failed.",
            ["kind", "result"],
            registry=registry,
        )
        self._choices = _choices(registry)
        self.ranked = Counter(f"{PREFIX}_ranked_candidates", "Candidates that the rank door scored.", registry=registry)

    def chose(self, choice: Choice) -> None:
        """Count one ranking."""
        best = choice.ranked[0][2] >= max(score for _, _, score in choice.ranked)
        self._choices.labels("best" if best else "explored", "yes" if choice.shown.asked else "no").inc()

    def count(self, outcome: str, items: int = 1) -> None:
        """Count items by outcome."""
        self._outcomes[outcome].inc(items)


def _choices(registry: CollectorRegistry) -> Counter:
    return Counter(
        f"{PREFIX}_choices",
        "Rankings: whether the first place had the best score (best) or another was shown to learn from it (explored), "
        "and whether feedback on it is asked for.",
        ["shown", "asked"],
        registry=registry,
    )
