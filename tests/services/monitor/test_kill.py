"""A monitor killed with SIGKILL at many points of a run ends in the very state of one that was never interrupted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meta_learning.streams import Log
from meta_learning.streams.opening import open_log
from tests.services.monitor.program import answers, program
from tests.services.monitor.world import CYCLE_SIZE, checkpoint, monitor, some_feedback, train

LOOPS = ("support", "search", "kitchen")
ROUNDS_COUNT = 5
EVENTS_COUNT = 240  # a round
SETTINGS = {"META_LEARNING_CYCLE_SIZE": str(CYCLE_SIZE)}


@pytest.fixture
async def log(broker_url: str) -> AsyncIterator[Log]:
    """A log over the real server, under the keys that the process uses."""
    opened = open_log(broker_url, 2)
    await opened.start()
    yield opened
    await opened.close()


async def left(log: Log) -> int:
    """Entries that the monitor has not committed; all of them before it has ever come up."""
    lags = [lag.entries_count for lag in await log.lags() if lag.role == "monitor"]
    return sum(lags) if lags else EVENTS_COUNT


async def folded(log: Log, most: int) -> None:
    """Wait until the process has left at most ``most`` entries: it tells nobody but the broker."""
    async with asyncio.timeout(60):
        while await left(log) > most:
            await asyncio.sleep(0.002)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_monitor_killed_at_many_points_ends_in_the_state_of_an_unbroken_one(
    log: Log, broker_url: str, tmp_path: Path, free_port: int
) -> None:
    chance = random.Random(11)
    for number in range(ROUNDS_COUNT):
        await log.append(some_feedback(EVENTS_COUNT, LOOPS, seed=number))
        await train(log)
        async with program(broker_url, tmp_path, free_port, **SETTINGS) as (process, _):
            await folded(log, chance.randrange(1, EVENTS_COUNT))
            await asyncio.sleep(chance.random() * 0.05)
            process.kill()
            await process.wait()
    async with program(broker_url, tmp_path, free_port, **SETTINGS) as (process, http):
        await answers(http, "/readyz", 200)
        await folded(log, 0)
        async with asyncio.timeout(20):
            while (counts := (await http.get("/api/system")).json()["counts"])[
                "monitored"
            ] < ROUNDS_COUNT * EVENTS_COUNT:
                await asyncio.sleep(0.1)
        served = {loop: (await http.get(f"/api/loops/{loop}")).json() for loop in LOOPS}
        process.terminate()  # so that it gives its leases back
        assert await process.wait() == 0

    async with monitor(log, role="unbroken") as unbroken:
        view = await unbroken.level(60)
        expected = {loop: view.loop(loop) for loop in LOOPS}
    assert counts["accepted"] == counts["monitored"] == ROUNDS_COUNT * EVENTS_COUNT
    assert counts["monitored"] == sum(counts[part] for part in ("trained", "capped", "distrusted", "unlearnt", "open"))
    for loop in LOOPS:
        assert served[loop]["scores"]["alignment"]["n"] > 0
        assert served[loop]["scores"]["drift"]["current"] == expected[loop].scores["drift"]["current"]
    for partition in range(log.partitions_count):
        found, wanted = [await checkpoint(log, partition, role) for role in ("monitor", "unbroken")]
        assert found.offsets == wanted.offsets
        assert found.state == wanted.state
