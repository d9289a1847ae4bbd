"""What Prometheus gets: every metric described, numbers those of the view, nothing for what means nothing yet."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from meta_learning.clrs import LoopSettings
from meta_learning.streams import Log
from meta_learning.streams.memory import MemoryLog
from services.monitor.collecting import MonitorCollector
from services.monitor.metrics import METRICS
from services.monitor.view import View
from tests.services.monitor.serving import Served, serving
from tests.services.monitor.world import some_feedback, train

ROOT = Path(__file__).parents[3]


async def scraped(served: Served) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = (await served.get("/metrics")).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_gauges_are_the_summary(log: Log) -> None:
    await log.append(some_feedback(600, loops=("support",)))
    await train(log)
    async with serving(log) as served:
        loop = (await served.level()).loop("support")
        found = await scraped(served)
    label = (("loop", "support"),)
    for score in ("alignment", "coherence"):
        assert found.get((f"meta_learning_{score}_score", label)) == loop.scores[score]["current"]
    overall = (("kind", "overall"), ("loop", "support"))
    assert found.get(("meta_learning_drift_score", overall)) == loop.scores["drift"]["current"]
    for pattern in loop.scores["patterns"]["watched"]:
        active = pattern in {item["name"] for item in loop.scores["patterns"]["active"]}
        assert found[("meta_learning_pattern_active", (*label, ("pattern", pattern)))] == active
    for measure, value in loop.scores["coherence"]["diversity"].items():
        shown = found.get(("meta_learning_output_diversity", (*label, ("measure", measure))))
        assert shown == value
    calibration = found.get(("meta_learning_calibration_error", label))
    assert calibration == loop.scores["alignment"]["calibration_error"] is not None
    assert found[("meta_learning_events_monitored_total", label)] == 600
    assert found[("meta_learning_events_trained_total", label)] == 600
    cycles = [value for (name, _), value in found.items() if name == "meta_learning_cycles_total"]
    assert sum(cycles) == 30


async def test_a_pattern_that_is_found_is_a_gauge_at_one(memory_log: MemoryLog) -> None:
    """Customers who begin to ask about something new."""
    asked = some_feedback(740, loops=("support",))
    newer = [event.model_copy(update={"input_text": f"{event.input_text} Ferry strike!"}) for event in asked[680:]]
    await memory_log.append([*asked[:680], *newer])
    await train(memory_log)
    async with serving(memory_log) as served:
        await served.level()
        found = await scraped(served)
        shown = (await served.get("/api/loops/support")).json()["patterns"]
    active = {dict(labels)["pattern"] for (name, labels), on in found.items() if name.endswith("pattern_active") and on}
    assert "topic_birth" in active
    assert "ferry" in next(item["sentence"] for item in shown["active"] if item["name"] == "topic_birth")
    assert active == {item["name"] for item in shown["active"]}


async def test_a_score_without_meaning_is_absent(memory_log: MemoryLog) -> None:
    await memory_log.append(some_feedback(3, loops=("support",)))
    async with serving(memory_log) as served:
        await served.level()
        names = {name for name, _ in await scraped(served)}
    assert "meta_learning_events_monitored_total" in names
    assert not names & {"meta_learning_drift_score", "meta_learning_alignment_score", "meta_learning_coherence_score"}


async def test_counters_that_alert_begin_at_zero_with_their_loop(memory_log: MemoryLog) -> None:
    """``increase()`` sees nothing of a counter that first appears at 1."""
    await memory_log.append(some_feedback(1, loops=("support",)))
    async with serving(memory_log) as served:
        await served.level()
        found = await scraped(served)
    assert found[("meta_learning_cycles_total", (("decision", "rejected"), ("loop", "support")))] == 0
    assert found[("meta_learning_evolution_outcomes_total", (("loop", "support"), ("outcome", "failed")))] == 0
    assert found[("meta_learning_log_events_total", (("outcome", "parked"),))] == 0


async def test_lag_and_age_are_there_for_every_reader(log: Log) -> None:
    await log.append(some_feedback(40))
    await train(log)
    async with serving(log) as served:
        await served.level()
        await served.view.after(served.view.revision)
        found = await scraped(served)
    lags = {labels for name, labels in found if name == "meta_learning_reader_lag_entries"}
    ages = {labels for name, labels in found if name == "meta_learning_reader_oldest_age_seconds"}
    roles = {dict(labels)["role"] for labels in lags}
    assert lags == ages
    assert roles == {"monitor", "trainer"}
    assert found[("meta_learning_broker_up", ())] == 1


def test_every_metric_has_a_name_of_the_house_and_a_sentence() -> None:
    for metric in METRICS:
        assert metric.name.startswith("meta_learning_"), metric.name
        assert metric.sentence.endswith("."), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert len(metric.sentence) > 20


def test_registering_reads_nothing_and_names_no_metric_twice() -> None:
    registry = CollectorRegistry()
    registry.register(MonitorCollector(View(1), LoopSettings()))
    assert len({metric.name for metric in METRICS}) == len(METRICS)
