"""A run whose questions several workers answer, or a vendor's batches: whoever is killed, it ends the same and pays once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rq import Worker

from meta_learning.events import (
    EvolutionCancelRequested,
    EvolutionCompleted,
)
from meta_learning.streams import Log
from meta_learning.streams.opening import open_log
from services.evolver.queueing import connect
from tests.contract.batch_server import BatchServer
from tests.contract.batch_server import serving as serving_batches
from tests.services.evolver.driving import LOOP, feedback, request, told, until
from tests.services.evolver.loopback import Model
from tests.services.evolver.process import EvolverProcess, evolver

pytestmark = pytest.mark.slow


async def test_free_workers_help_with_a_run_and_whoever_is_killed_it_ends_the_same(
    log: Log, broker_url: str, model: Model, model_url: str, tmp_path: Path
) -> None:
    several = {
        "META_LEARNING_EVOLVER_WORKERS_COUNT": "2",
        "META_LEARNING_LLM_CONCURRENCY_MAX": "2",
        "META_LEARNING_LEASE_TTL_S": "1",
    }
    with evolver(broker_url, model_url, tmp_path / "data", **several) as running:
        await request(log, "alone", promote=False, ensemble=3)
        [alone] = await until(log, "alone", EvolutionCompleted)
        alone_count, model.delay_s = len(model.asked), 0.05
        await request(log, "together", promote=False, ensemble=3, workers=2)
        # A helper before it could say that it is here, its successor while questions are asked again, the owner in the search, the
        # helper of the next life near the gate.
        for share, helps in ((0.0, True), (0.2, True), (0.5, False), (0.8, True)):
            await asyncio.to_thread(model.wait_for_requests, alone_count + round(share * alone_count))
            os.kill(await asyncio.to_thread(horse, broker_url, running, helps), signal.SIGKILL)
        await asyncio.to_thread(model.wait_for_at_once, 3)  # no worker has more than two calls on their way
        [together] = await until(log, "together", EvolutionCompleted)
    assert told(together) == told(alone)
    asked = model.asked[alone_count:]
    assert set(asked) == set(model.asked[:alone_count])
    # Two calls of each of the three that were killed, and up to two of each process that finds out about log-probabilities.
    assert len(asked) - alone_count <= 3 * 2 + 5 * 2


def horse(broker_url: str, running: EvolverProcess, helps: bool) -> int:
    """The process that helps with a run, or owns it, as soon as there is one."""
    connection, pause, deadline = connect(broker_url), threading.Event(), time.monotonic() + 45.0
    while time.monotonic() < deadline:
        for worker in Worker.all(connection):
            job = worker.get_current_job_id() or ""
            found = [pid for pid, parent in running.workers().items() if parent == worker.pid]
            if job and found and job.startswith("help-") is helps:
                return found[0]
        pause.wait(0.05)
    raise AssertionError("nobody helps" if helps else "nobody runs it")


async def test_a_run_in_batches_fetches_after_sigkill_what_it_has_paid_for_and_calls_off_what_nobody_wants(
    broker_url: str, tmp_path: Path
) -> None:
    items = {f"Message {n:03d} about a parcel": ("complaint", "praise")[n % 2] for n in range(130)}
    server = BatchServer(Model(items))
    server.done_at = 1_000_000
    stream = open_log(broker_url)
    await stream.start()
    await stream.append([feedback(number, *pair) for number, pair in enumerate(items.items())])
    asked: dict[str, Any] = {"num_samples": 60, "gate_samples": 60, "batch": True}
    asked |= {"budget": {"calls": 600, "seconds": 600.0}, "promote": False}
    with (
        serving_batches(server) as url,
        evolver(broker_url, f"{url}/v1", tmp_path / "data", META_LEARNING_LEASE_TTL_S="1") as running,
    ):
        await request(stream, "batched", **asked)
        await asyncio.to_thread(server.wait_for_batches, 1)
        assert await asyncio.to_thread(running.kill_workers) >= 2
        server.done_at = 0
        [completed] = await until(stream, "batched", EvolutionCompleted)
        assert completed.outcome == "improved", completed.reason
        questions = [line["custom_id"] for batch in server.batches for line in batch]
        assert len(questions) == len(set(questions)) > 150  # no question went out twice
        server.done_at, count = 1_000_000, len(server.batches)
        await request(stream, "unwanted", **(asked | {"seed": 1}))
        await asyncio.to_thread(server.wait_for_batches, count + 1)
        gone = EvolutionCancelRequested(event_id="c", occurred_at=datetime.now(UTC), loop=LOOP, run_id="unwanted")
        await stream.publish(LOOP, [gone])
        [cancelled] = await until(stream, "unwanted", EvolutionCompleted)
    assert cancelled.outcome == "cancelled"
    assert server.cancelled == {str(count)}
    await stream.close()
