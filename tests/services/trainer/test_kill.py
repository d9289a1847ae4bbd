"""A trainer killed with SIGKILL at many points ends with the versions, events and pointer of an unbroken run."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.events import CycleCompleted, Event, FeedbackReceived, ModelPromoted, decode, parse_time
from meta_learning.registry.store import FileStore
from meta_learning.registry.versions import manifest_of
from meta_learning.streams import Log, partition_of
from meta_learning.streams.opening import open_log
from tests.mourning import ends_with_us

ROOT = Path(__file__).parents[3]
LOOPS = ("support", "kitchen")
CYCLE_SIZE = 20
EVENTS_COUNT = 900
KILLS_COUNT = 10
NOON = parse_time("2026-01-02T12:00:00Z")


def feedback(number: int) -> FeedbackReceived:
    """Feedback that can be learnt: polite answers are liked, rude ones are not, with some noise."""
    polite = number * 7 % 11 < 6
    noisy = number % 13 == 0
    return FeedbackReceived(
        event_id=f"e{number}",
        occurred_at=NOON,
        loop=LOOPS[number % 5 == 0],
        input_text=f"question {number % 37} about parcel {number % 17}",
        output_text="gladly, here is the answer" if polite else "no idea, go away",
        feedback_score=float(polite != noisy),
    )


@contextmanager
def trainer(url: str, data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "REDIS_URL": url,
        "META_LEARNING_DATA_FOLDER": str(data),
        "META_LEARNING_CYCLE_SIZE": str(CYCLE_SIZE),
        "META_LEARNING_TRAINER_PORT": str(port),
        "META_LEARNING_TRAINER_BATCH_COUNT_MAX": "30",
        "META_LEARNING_PARTITIONS_COUNT": "2",
        "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}",
    }
    with open(data / "trainer.log", "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.trainer"], env=environment, stdout=output, stderr=output
        )
    ends_with_us(process.pid)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def said(log: Log) -> list[Event]:
    """Everything on the events streams, in order."""
    found = []
    for partition in range(log.partitions_count):
        found += [decode(entry.body) for entry in await log.entries(partition, "events", count_max=10_000)]
    return found


async def until_folded(log: Log, process: subprocess.Popen[bytes], entries_count: int) -> None:
    """Wait until at most ``entries_count`` entries are left to fold."""
    async with asyncio.timeout(60):
        while True:
            assert process.poll() is None, "the trainer ended by itself"
            lags = [lag.entries_count for lag in await log.lags() if lag.role == "trainer"]
            if len(lags) == log.partitions_count and sum(lags) <= entries_count:
                return
            await asyncio.sleep(0.005)


async def unbroken(log: Log) -> list[Event]:
    """What one fold of the same entries, in one process and with no restart, says."""
    expected: list[Event] = []
    for partition in range(log.partitions_count):
        systems = {loop: ClosedLoopSystem(cycle_size=CYCLE_SIZE, loop=loop) for loop in LOOPS}
        for entry in await log.entries(partition, "feedback", count_max=10_000):
            event = decode(entry.body)
            expected += systems[event.loop].fold(event, entry_id=entry.id)
    return expected


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_trainer_killed_at_many_points_ends_with_the_versions_of_an_unbroken_run(
    broker_url: str, tmp_path: Path, free_port: int
) -> None:
    log = open_log(broker_url, partitions_count=2)
    await log.start()
    await log.append([feedback(number) for number in range(EVENTS_COUNT)])
    chance = random.Random(20)
    stops = sorted(chance.sample(range(EVENTS_COUNT // 10, EVENTS_COUNT), KILLS_COUNT), reverse=True)
    for left in stops:
        with trainer(broker_url, tmp_path, free_port) as process:
            await until_folded(log, process, left)
            await asyncio.sleep(chance.random() * 0.05)
    with trainer(broker_url, tmp_path, free_port) as process:
        await until_folded(log, process, 0)

    found, expected = await said(log), await unbroken(log)
    assert sum(isinstance(event, CycleCompleted) for event in found) == EVENTS_COUNT // CYCLE_SIZE
    assert [event.encode() for event in found] == [event.encode() for event in expected]
    await assert_same_champions(log, FileStore(tmp_path / "registry"), expected)
    await log.close()


async def assert_same_champions(log: Log, registry: FileStore, expected: list[Event]) -> None:
    promoted = {event.loop: event.version for event in expected if isinstance(event, ModelPromoted)}
    assert set(promoted) == set(LOOPS)
    for loop, version in promoted.items():
        pointer = await log.pointer(loop, "model")
        assert pointer is not None
        manifest = manifest_of(registry, pointer)
        assert (manifest.loop, manifest.version) == (loop, version)
        assert registry.has(manifest.content)


def test_the_two_loops_of_the_test_lie_in_different_partitions() -> None:
    assert {partition_of(loop, 2) for loop in LOOPS} == {0, 1}
