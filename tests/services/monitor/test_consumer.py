"""The fold over a real log, with a real trainer: nothing lost, nothing counted twice, whatever dies when."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.events import CycleCompleted, FeedbackReceived, PromptPromoted, decode
from meta_learning.streams import Log, entry_order
from meta_learning.streams.memory import MemoryLog
from services.monitor.consumer import PartitionConsumer
from services.monitor.folding import FoldLimits
from services.monitor.view import View
from tests.brokers import NOON, write_raw
from tests.services.monitor.world import (
    CYCLE_SIZE,
    QUICK,
    SETTINGS,
    WATCHES,
    Cut,
    CutLog,
    checkpoint,
    last_entries,
    monitor,
    some_feedback,
    train,
)


async def test_every_event_is_monitored_and_every_cycle_accounted_for(log: Log) -> None:
    said = some_feedback(230)
    await log.append(said)
    await train(log)
    async with monitor(log) as watching:
        view = await watching.level()
        for name in ("support", "search"):
            state, count = view.loop(name).state, sum(event.loop == name for event in said)
            assert state.monitored_count == count
            assert state.trained_count + state.capped_count == count - count % CYCLE_SIZE
            assert state.open_count == count % CYCLE_SIZE
            assert sum(state.decisions.values()) == count // CYCLE_SIZE
            assert state.unscored_count == 0
            assert len(view.loop(name).pairs) == count % CYCLE_SIZE


async def test_at_equal_offset_the_scores_are_those_of_the_closed_loop_itself(log: Log) -> None:
    await log.append(some_feedback(600, loops=("support",)))
    await train(log)
    system = ClosedLoopSystem(loop="support", cycle_size=CYCLE_SIZE, settings=SETTINGS)
    for partition in range(log.partitions_count):
        for entry in await last_entries(log, partition, "feedback"):
            system.fold(FeedbackReceived.decode(entry.body), entry.id)
    summary = system.get_system_summary()
    async with monitor(log) as watching:
        loop = (await watching.level()).loop("support")
    assert loop.state.cycles[-1].cycle == 30
    scores = loop.scores
    assert {name: summary[name] for name in scores} == scores


async def test_feedback_that_comes_long_before_its_cycle_waits_for_it(log: Log) -> None:
    await log.append(some_feedback(90))
    async with monitor(log) as watching:
        view = await watching.level()
        assert sum(loop.state.open_count for loop in view.loops().values()) == 90
        await train(log)
        view = await watching.level()
        assert all(loop.state.open_count < CYCLE_SIZE for loop in view.loops().values())
        assert all(loop.state.unscored_count == 0 for loop in view.loops().values())


async def test_a_cycle_that_comes_before_its_feedback_waits_for_it(memory_log: MemoryLog) -> None:
    """Small batches: the cycles are read long before the feedback that they name."""
    await memory_log.append(some_feedback(400, loops=("support",)))
    await train(memory_log)
    async with monitor(memory_log, FoldLimits(batch_count_max=6, linger_s=0.0)) as watching:
        view = await watching.level()
        assert view.loop("support").state.unscored_count == 0
        assert view.loop("support").state.cycled_count == 400


async def test_a_monitor_that_dies_at_any_commit_ends_in_the_state_of_an_unbroken_one(log: Log) -> None:
    await log.append(some_feedback(260))
    await train(log)
    limits = FoldLimits(batch_count_max=30, linger_s=0.0)
    async with monitor(log, limits, role="unbroken") as watching:
        await watching.level()
    deaths = 0
    for partition in range(log.partitions_count):
        for life in range(40):
            if await _dies(log, partition, at=1 + life % 3, is_after=life % 2 == 0, limits=limits):
                deaths += 1
                continue
            break
    async with monitor(log, limits) as watching:
        await watching.level()
    assert deaths >= 8
    for partition in range(log.partitions_count):
        assert await checkpoint(log, partition) == await checkpoint(log, partition, "unbroken")


async def _dies(log: Log, partition: int, at: int, is_after: bool, limits: FoldLimits) -> bool:
    """One life of a monitor on ``partition``: True when it died at its ``at``-th commit, False when there was none left."""
    view, cut = View(log.partitions_count), cast(Log, CutLog(log, at, is_after))
    task = asyncio.create_task(PartitionConsumer(cut, partition, "monitor-1", view, WATCHES, limits).run())
    is_level = asyncio.create_task(_no_lag(log, partition, view))
    await asyncio.wait({task, is_level}, return_when=asyncio.FIRST_COMPLETED)
    is_level.cancel()
    if task.done():
        with pytest.raises(Cut):
            task.result()
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


async def _no_lag(log: Log, partition: int, view: View) -> None:
    while True:
        revision = view.revision
        lags = [lag for lag in await log.lags() if (lag.role, lag.partition) == ("monitor", partition)]
        if lags and not sum(lag.entries_count for lag in lags):
            return
        await view.after(revision)


async def test_entries_that_are_no_events_are_skipped_or_parked_once(log: Log) -> None:
    """The trainer parks what it cannot read of feedback, so the monitor only counts it; of events the monitor parks."""
    await log.append(some_feedback(45))
    await write_raw(log, 0, "feedback", b"not an event")
    await write_raw(log, 0, "events", b'{"type":"Unknown"}')
    await train(log)
    async with monitor(log, FoldLimits(linger_s=0.0)) as watching:
        view = await watching.level()
        found = view.partitions[0].view
        assert found is not None
        assert (found.unreadable.skipped_count, found.unreadable.parked_count) == (1, 1)
    letters = {(letter.source.stream, letter.role) for letter in await log.dead_letters()}
    assert letters == {("feedback", "trainer"), ("events", "monitor")}


async def test_a_cycle_with_entries_that_cannot_exist_is_parked(memory_log: MemoryLog) -> None:
    await memory_log.append(some_feedback(60, loops=("support",)))
    bad = CycleCompleted(
        event_id="bad", occurred_at=NOON, loop="support", cycle=1, first_entry="x", last_entry="y", events_count=1,
        decision="held", reasons=(), feedback_scores=(0.5,),
    )  # fmt: skip
    await memory_log.publish("support", [bad])
    async with monitor(memory_log) as watching:
        view = await watching.level()
        assert view.loop("support").state.decisions == {}
    assert [letter.source.type for letter in await memory_log.dead_letters()] == ["CycleCompleted"]


async def test_a_cycle_whose_feedback_is_gone_is_counted_and_left_out_of_the_scores(memory_log: MemoryLog) -> None:
    """For instance events that were carried over from another deployment: waiting for ever would stop the partition."""
    orphan: dict[str, Any] = {"loop": "support", "cycle": 1, "first_entry": "9-0", "last_entry": f"{2**50}-0"}
    event = CycleCompleted(
        event_id="orphan", occurred_at=NOON, events_count=2, decision="held", reasons=("none",),
        feedback_scores=(0.5, 1.0), **orphan,
    )  # fmt: skip
    await memory_log.publish("support", [event])
    async with monitor(memory_log) as watching:
        view = await watching.level()
        assert view.loop("support").state.unscored_count == 1


async def test_pairs_beyond_the_bound_are_looked_up_in_the_log(memory_log: MemoryLog) -> None:
    await memory_log.append(some_feedback(300, loops=("support",)))
    limits = FoldLimits(pairs_count_max=25, linger_s=0.0)
    async with monitor(memory_log, limits) as watching:
        view = await watching.level()
        assert len(view.loop("support").pairs) == 25
        await train(memory_log)
        view = await watching.level()
        assert view.loop("support").state.unscored_count == 0
        assert view.loop("support").state.cycled_count == 300


async def test_a_second_monitor_stands_by_until_the_first_is_gone(log: Log) -> None:
    await log.append(some_feedback(50))
    async with monitor(log, owner="monitor-1") as first:
        await first.level()
        async with monitor(log, owner="monitor-2") as second:
            async with asyncio.timeout(10):
                while "starting" in states(second.view):
                    await second.view.after(second.view.revision)
            assert states(second.view) == ["standby", "standby"]
            assert states(first.view) == ["folding", "folding"]
            assert not second.view.loops()


async def test_a_monitor_that_lost_its_partition_shows_no_old_numbers(memory_log: MemoryLog) -> None:
    await memory_log.append(some_feedback(50))
    async with monitor(memory_log, owner="monitor-1") as first:
        assert (await first.level()).loops()
        # As after a pause longer than the lease: somebody else has taken the partition over.
        memory_log.broker[0].leases.clear()
        async with monitor(memory_log, owner="monitor-2") as second, asyncio.timeout(10):
            while "standby" not in states(first.view):
                await first.view.after(first.view.revision)
            assert not first.view.loops()
            while not second.view.loops():
                await second.view.after(second.view.revision)


def states(view: View) -> list[str]:
    return [status.state for status in view.partitions.values()]


async def test_the_offsets_are_committed_with_the_state(log: Log) -> None:
    await log.append(some_feedback(70))
    await log.publish("support", [PromptPromoted(event_id="p", occurred_at=NOON, loop="support", version="v1")])
    await train(log)
    async with monitor(log, QUICK) as watching:
        await watching.level()
    for partition in range(log.partitions_count):
        found = await checkpoint(log, partition)
        for stream in ("feedback", "events"):
            entries = await last_entries(log, partition, stream)
            if entries:
                assert entry_order(found.offsets[stream]) == entry_order(entries[-1].id)
                assert decode(entries[-1].body).loop in found.state
