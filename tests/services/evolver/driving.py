"""Asks a running evolver over the log, and waits for what it says."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from meta_learning.events import (
    Event,
    EvolutionCompleted,
    EvolutionRequested,
    FeedbackReceived,
    decode,
)
from meta_learning.streams import START, Log, partition_of
from services.evolver.queueing import connect, job_id_of, open_queue

LOOP = "support"
# No question is asked twice on purpose, so that one that is asked twice was lost. The author's idea is what helps this model.
SMALL = {
    "dataset": "feedback", "num_samples": 20, "gate_samples": 40, "max_iterations": 2, "probe_items": 0,
    "strategies": ["error_analysis"],
}  # fmt: skip


def feedback(number: int, text: str, answer: str) -> FeedbackReceived:
    return FeedbackReceived(
        event_id=f"f{number}",
        occurred_at=datetime.now(UTC),
        loop=LOOP,
        input_text=text,
        output_text=answer,
        feedback_score=1.0,
    )


async def request(log: Log, run_id: str, event_id: str | None = None, **settings: Any) -> None:
    event = EvolutionRequested(
        event_id=event_id or f"request-{run_id}",
        occurred_at=datetime.now(UTC),
        loop=LOOP,
        run_id=run_id,
        settings=SMALL | settings,
    )
    await log.publish(LOOP, [event])


async def events(log: Log, run_id: str) -> list[Any]:
    entries = await log.entries(partition_of(LOOP, log.partitions_count), "events", after=START, count_max=10_000)
    return [event for event in (decode(entry.body) for entry in entries) if getattr(event, "run_id", None) == run_id]


async def until(
    log: Log, run_id: str, kind: type[Event], timeout_s: float = 45.0, count: int = 1, word: str = ""
) -> list[Any]:
    """The run's first ``count`` events of ``kind`` that hold ``word``, as soon as they are said."""
    relay = log.relay(f"test-{time.monotonic_ns()}", "test")
    found: list[Any] = []
    async with asyncio.timeout(timeout_s):
        while len(found) < count:
            for _, entry in await relay.take(wait_ms_max=500):
                event = decode(entry.body)
                if isinstance(event, kind) and getattr(event, "run_id", None) == run_id and word.encode() in entry.body:
                    found.append(event)
    return found


def job_of(broker_url: str, event_id: str) -> Any:
    """The RQ job of a request."""
    connection = connect(broker_url)
    job = open_queue(connection).fetch_job(job_id_of(event_id))
    assert job is not None
    return job


def told(completed: EvolutionCompleted) -> dict[str, Any]:
    """What a run found, without what names the run."""
    return completed.model_dump(exclude={"event_id", "occurred_at", "run_id"})
