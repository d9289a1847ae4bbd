"""Every metric of the evolver. What jobs count lies in Redis: counters of a forked process die with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry, StartedJobRegistry

from services.evolver.queueing import COUNTERS_KEY

P = "meta_learning_evolver"
_REGISTRIES = {
    "started": StartedJobRegistry,
    "scheduled": ScheduledJobRegistry,
    "finished": FinishedJobRegistry,
    "failed": FailedJobRegistry,
}
# name in Redis -> (metric, sentence, labels); a field is NAME|LABEL|LABEL
_COUNTED = {
    "runs": (f"{P}_runs", "ACLA runs that ended, by outcome.", ("outcome",)),
    "calls": (f"{P}_llm_calls", "Model calls that were made, by purpose.", ("provider", "purpose")),
    "failures": (f"{P}_llm_failures", "Model calls that failed, by purpose.", ("provider", "purpose")),
    "prompt_tokens": (f"{P}_llm_prompt_tokens", "Tokens sent to models.", ("provider", "purpose")),
    "completion_tokens": (f"{P}_llm_completion_tokens", "Tokens received from models.", ("provider", "purpose")),
    "money": (f"{P}_llm_money_usd", "US dollars paid to models, where the price is known.", ("provider", "purpose")),
    "outages": (f"{P}_llm_outages", "Times that a run stepped aside because its model was silent.", ()),
    "resumed": (f"{P}_resumed", "Times that a run was taken up again where it had stopped.", ()),
}


class Metrics:
    """The service's metrics in ``registry``; `look` refreshes those that are read off the queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.relayed = Counter(
            f"{P}_relayed",
            "Requests and cancellations taken from the stream, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.reaped = Counter(f"{P}_reaped", "Jobs given to a successor because their process died.", registry=registry)
        self._jobs = Gauge(f"{P}_jobs", "RQ jobs by status.", ["status"], registry=registry)
        self._oldest = Gauge(
            f"{P}_oldest_queued_seconds", "Age of the job at the head of the queue.", registry=registry
        )
        self._stale = Gauge(f"{P}_stale_heartbeats", "Started jobs that nobody holds the lease of.", registry=registry)
        self.workers = Gauge(f"{P}_workers", "Worker processes that are running.", registry=registry)
        self.restarts = Gauge(f"{P}_worker_restarts", "Worker processes that were started again.", registry=registry)
        self._counted = _Counted()
        registry.register(self._counted)

    def look(self, queue: Any) -> None:
        """Read the queue, its registries and the jobs' counters (blocking)."""
        self._jobs.labels("queued").set(queue.count)
        for status, registry_type in _REGISTRIES.items():
            self._jobs.labels(status).set(registry_type(queue=queue).get_job_count(cleanup=False))
        self._oldest.set(_oldest_queued_s(queue))
        fields = queue.connection.hgetall(COUNTERS_KEY)
        self._counted.values = {name.decode(): float(value) for name, value in fields.items()}

    def see_stale(self, count: int) -> None:
        """Note how many started jobs are without a lease now."""
        self._stale.set(count)


class _Counted(Collector):
    def __init__(self) -> None:
        self.values: Mapping[str, float] = {}

    def collect(self) -> Iterator[CounterMetricFamily]:
        for prefix, (name, sentence, labels) in _COUNTED.items():
            family = CounterMetricFamily(name, sentence, labels=labels)
            for field, value in self.values.items():
                kind, *given = field.split("|")
                if kind == prefix and len(given) == len(labels):
                    family.add_metric(given, value)
            yield family


def _oldest_queued_s(queue: Any) -> float:
    head = queue.get_job_ids(0, 1)
    job = queue.fetch_job(head[0]) if head else None
    return max(0.0, time.time() - job.enqueued_at.timestamp()) if job is not None and job.enqueued_at else 0.0
