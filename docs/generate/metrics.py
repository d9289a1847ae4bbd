"""Write `docs/metrics.md` from the metrics themselves: `python -m docs.generate.metrics`.

The services' registries are the only place where a metric is described; a test compares the page with what this would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from meta_learning.clrs import LoopSettings
from meta_learning.serving.requests import RequestContext
from services.evolver.metrics import Metrics as EvolverMetrics
from services.evolver.metrics import P as EVOLVER
from services.ingest.metrics import PREFIX as INGEST
from services.ingest.metrics import IngestMetrics
from services.monitor.collecting import MonitorCollector
from services.monitor.metrics import METRICS
from services.monitor.metrics import PREFIX as MONITOR
from services.monitor.view import View
from services.trainer.metrics import PREFIX as TRAINER
from services.trainer.metrics import TrainerMetrics

PAGE = Path(__file__).parents[1] / "metrics.md"
HEAD = """# Metrics

Written by `python -m docs.generate.metrics` from the code; do not edit by hand. Every service answers `GET /metrics` in the text
format of
Prometheus, without a key (scores and counts, never texts or user ids). Labels are bounded: `loop` by `loops_count_max`, all
others by short lists. A score that means nothing yet is absent, not 0.

The rules that watch these numbers are in `deploy/prometheus/`, a dashboard in `deploy/grafana/`.
"""


def registries() -> dict[str, CollectorRegistry]:
    """The registry of each service, as its program fills it."""
    made = {"monitor": CollectorRegistry(), "ingest": CollectorRegistry(), "evolver": CollectorRegistry()}
    made["monitor"].register(MonitorCollector(View(1), LoopSettings()))
    IngestMetrics(made["ingest"])
    EvolverMetrics(made["evolver"])
    made["trainer"] = TrainerMetrics().registry
    for name, prefix in {"monitor": MONITOR, "ingest": INGEST, "evolver": EVOLVER, "trainer": TRAINER}.items():
        RequestContext(_nobody, made[name], prefix)
    return made


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    """An app that is never called."""


def rows(registry: CollectorRegistry) -> Iterator[tuple[str, str, str, str]]:
    """(name, kind, labels, sentence) of every family, sorted by name."""
    labels = {metric.name: metric.labels for metric in METRICS} | _declared_labels(registry)
    for family in sorted(registry.collect(), key=lambda family: family.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        named = ", ".join(f"`{label}`" for label in labels.get(name) or labels.get(family.name) or ())
        yield name, family.type, named, family.documentation


def _declared_labels(registry: CollectorRegistry) -> dict[str, tuple[str, ...]]:
    collectors: list[Any] = list(registry._collector_to_names)
    return {found._name: tuple(found._labelnames) for found in collectors if hasattr(found, "_labelnames")}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for service, registry in registries().items():
        parts.append(f"\n## {service}\n\n| metric | kind | labels | what it says |\n|---|---|---|---|\n")
        parts += [f"| `{name}` | {kind} | {labels} | {sentence} |\n" for name, kind, labels, sentence in rows(registry)]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
