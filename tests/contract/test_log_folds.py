"""Folds and relays: ownership, atomic commits, dead letters, redelivery. Every test runs on every broker."""

from __future__ import annotations

import asyncio
import time

import pytest

from meta_learning.errors import OwnershipLost, TooManyDeadLetters
from meta_learning.events import ModelPromoted, PromoteModel, decode
from meta_learning.streams import START, Commit, Limits, partition_of
from tests.brokers import NOON, feedback, write_raw
from tests.contract.backends import Backend

PARTITION = partition_of("support", 2)


def promoted(event_id: str, version: str = "v1") -> ModelPromoted:
    return ModelPromoted(event_id=event_id, occurred_at=NOON, loop="support", version=version, cause="gate")


async def test_a_fold_reads_everything_in_order_and_goes_on_where_it_was(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await log.append([feedback(f"e{i}") for i in range(7)])
    first, second = await fold.read(count_max=5), await fold.read(count_max=5)
    assert [decode(entry.body).event_id for entry in [*first, *second]] == [f"e{i}" for i in range(7)]
    assert await fold.read(wait_ms_max=0) == []


async def test_a_waiting_read_wakes_up_when_something_comes(backend: Backend) -> None:
    log, producer = await backend.log(), await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    waiting = asyncio.create_task(fold.read(wait_ms_max=10_000))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await producer.append([feedback("e0")])
    assert len(await waiting) == 1
    assert time.monotonic() - started < 2.0


async def test_a_read_without_news_ends_when_its_time_is_up(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    started = time.monotonic()
    assert await fold.read(wait_ms_max=120) == []
    assert 0.1 <= time.monotonic() - started < 1.5


async def test_a_cancelled_read_loses_nothing(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    waiting = asyncio.create_task(fold.read(wait_ms_max=10_000))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await log.append([feedback("e0")])
    assert len(await fold.read()) == 1


async def test_a_fold_can_read_both_streams(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("monitor", PARTITION, ("feedback", "events"))
    assert await fold.acquire("me")
    await log.append([feedback("e0")])
    await log.publish("support", [promoted("p0")])
    entries = [*await fold.read(count_max=2), *await fold.read(count_max=2, wait_ms_max=50)]
    assert {(entry.stream, decode(entry.body).event_id) for entry in entries} == {("feedback", "e0"), ("events", "p0")}
    await fold.commit(Commit(offsets={entry.stream: entry.id for entry in entries}))
    assert {(lag.stream, lag.entries_count) for lag in await log.lags()} == {("feedback", 0), ("events", 0)}


async def test_state_offsets_events_and_pointers_land_together(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback(f"e{i}") for i in range(3)])
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    assert (await fold.load()).state == {}
    entries = await fold.read()
    big = bytes(range(256)) * 256
    await fold.commit(
        Commit(
            state={"support": big, "sales": b""},
            offsets={"feedback": entries[1].id},
            emit=[promoted("p1", "v1")],
            pointers={"model:support": "v1"},
        )
    )
    other = (await backend.log()).fold("trainer", PARTITION)
    assert await other.acquire("me")
    checkpoint = await other.load()
    assert checkpoint.state == {"support": big, "sales": b""}
    assert checkpoint.offsets == {"feedback": entries[1].id}
    assert [entry.id for entry in await other.read()] == [entries[2].id]
    assert await log.pointer("support", "model") == "v1"
    assert [decode(entry.body).event_id for entry in await log.entries(PARTITION, "events")] == ["p1"]


async def test_state_may_be_megabytes(backend: Backend) -> None:
    if backend.kind == "fakeredis":
        pytest.skip("fakeredis parses a byte at a time: it needs seconds for a megabyte")
    fold = (await backend.log()).fold("trainer", PARTITION)
    assert await fold.acquire("me")
    big = bytes(range(256)) * 4096 * 8
    await fold.commit(Commit(state={"support": big}))
    assert (await fold.load()).state == {"support": big}


async def test_only_named_keys_of_the_state_change(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await fold.commit(Commit(state={"a": b"1", "b": b"2", "c": b"3"}))
    await fold.commit(Commit(state={"a": b"4", "b": None}))
    assert (await fold.load()).state == {"a": b"4", "c": b"3"}


async def test_roles_and_partitions_keep_their_own_state(backend: Backend) -> None:
    log = await backend.log()
    for role, partition in (("trainer", 0), ("trainer", 1), ("monitor", 0)):
        fold = log.fold(role, partition)
        assert await fold.acquire("me")
        await fold.commit(Commit(state={"who": f"{role}{partition}".encode()}))
    fold = log.fold("trainer", 0)
    assert await fold.acquire("me")
    assert (await fold.load()).state == {"who": b"trainer0"}


async def test_an_event_that_is_emitted_again_is_skipped(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await fold.commit(Commit(emit=[promoted("p1"), promoted("p2"), promoted("p1")]))
    await fold.commit(Commit(emit=[promoted("p2"), promoted("p3")]))
    assert await log.publish("support", [promoted("p3")]) == 0
    assert [decode(entry.body).event_id for entry in await log.entries(PARTITION, "events")] == ["p1", "p2", "p3"]


async def test_only_one_owner_at_a_time(backend: Backend) -> None:
    one, two = (await backend.log()).fold("trainer", PARTITION), (await backend.log()).fold("trainer", PARTITION)
    assert await one.acquire("one")
    assert not await two.acquire("two")
    await one.release()
    assert await two.acquire("two")
    with pytest.raises(OwnershipLost):
        await one.commit(Commit(state={"a": b"late"}))


async def test_a_fold_that_was_never_acquired_reads_and_commits_nothing(backend: Backend) -> None:
    fold = (await backend.log()).fold("trainer", PARTITION)
    for call in (fold.read(), fold.load(), fold.renew(), fold.commit(Commit(state={"a": b"1"}))):
        with pytest.raises(OwnershipLost):
            await call
    await fold.release()


async def test_of_two_owners_the_older_one_can_commit_nothing(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback("e0")])
    frozen, heir = log.fold("trainer", PARTITION), (await backend.log()).fold("trainer", PARTITION)
    assert await frozen.acquire("one", lease_ms=50)
    [entry] = await frozen.read()
    await backend.pass_ms(80)
    assert await heir.acquire("two")
    commit = Commit(
        state={"a": b"stale"},
        offsets={"feedback": entry.id},
        emit=[promoted("p1")],
        pointers={"model:support": "stale"},
        parked=[(entry, "stale")],
    )
    with pytest.raises(OwnershipLost):
        await frozen.commit(commit)
    with pytest.raises(OwnershipLost):
        await frozen.renew()
    checkpoint = await heir.load()
    assert (checkpoint.state, checkpoint.offsets) == ({}, {"feedback": START})
    assert await log.entries(PARTITION, "events") == []
    assert await log.pointer("support", "model") is None
    assert await log.dead_letters() == []


async def test_a_lease_that_ran_out_but_that_nobody_took_still_commits(backend: Backend) -> None:
    fold = (await backend.log()).fold("trainer", PARTITION)
    assert await fold.acquire("one", lease_ms=20)
    await backend.pass_ms(50)
    await fold.commit(Commit(state={"a": b"1"}))
    assert (await fold.load()).state == {"a": b"1"}


async def test_renewing_keeps_the_lease(backend: Backend) -> None:
    one, two = (await backend.log()).fold("trainer", PARTITION), (await backend.log()).fold("trainer", PARTITION)
    assert await one.acquire("one", lease_ms=1000)
    for _ in range(2):
        await backend.pass_ms(550)
        await one.renew()
    assert not await two.acquire("two")


async def test_a_restarted_owner_need_not_wait_for_its_own_lease(backend: Backend) -> None:
    before, after = (await backend.log()).fold("trainer", PARTITION), (await backend.log()).fold("trainer", PARTITION)
    assert await before.acquire("trainer-0", lease_ms=60_000)
    assert await after.acquire("trainer-0")
    with pytest.raises(OwnershipLost):
        await before.commit(Commit(state={"a": b"ghost"}))


async def test_an_unreadable_entry_is_parked_listed_and_replayed(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback("e0")], traceparent="00-a-b-01")
    bad_id = await write_raw(log, PARTITION, "feedback", b"\xff not json")
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    good, bad = await fold.read()
    await fold.commit(Commit(offsets={"feedback": bad.id}, parked=[(bad, "is no JSON"), (good, "too sad")]))
    letters = await log.dead_letters()
    assert [(letter.source, letter.reason, letter.role) for letter in letters] == [
        (bad, "is no JSON", "trainer"),
        (good, "too sad", "trainer"),
    ]
    assert bad.id == bad_id
    assert len(await log.dead_letters(count_max=1)) == 1
    assert await log.replay([letters[1].id, letters[1].id, "0/1-0", "nonsense", "99/1-0"]) == 1
    [again] = await fold.read()
    assert (again.body, again.type, again.traceparent) == (good.body, good.type, "00-a-b-01")
    assert [letter.id for letter in await log.dead_letters()] == [letters[0].id]


async def test_an_entry_that_two_roles_cannot_read_is_one_dead_letter(backend: Backend) -> None:
    log = await backend.log()
    await write_raw(log, PARTITION, "feedback", b"?")
    for role in ("trainer", "monitor"):
        fold = log.fold(role, PARTITION)
        assert await fold.acquire("me")
        [entry] = await fold.read()
        await fold.commit(Commit(offsets={"feedback": entry.id}, parked=[(entry, "?")]))
    [letter] = await log.dead_letters()
    assert await log.replay([letter.id]) == 1
    assert len(await log.entries(PARTITION, "feedback")) == 2


async def test_a_fold_that_cannot_read_its_input_stops_and_nothing_is_lost(backend: Backend) -> None:
    log = await backend.log()
    for i in range(30):
        await write_raw(log, PARTITION, "feedback", f"bad {i}".encode())
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    few, rest = await fold.read(count_max=10), await fold.read(count_max=20)
    await fold.commit(Commit(offsets={"feedback": few[-1].id}, parked=[(entry, "bad") for entry in few]))
    commit = Commit(state={"a": b"1"}, offsets={"feedback": rest[-1].id}, parked=[(entry, "bad") for entry in rest])
    with pytest.raises(TooManyDeadLetters, match="trainer on partition"):
        await fold.commit(commit)
    restarted = (await backend.log()).fold("trainer", PARTITION)
    assert await restarted.acquire("me")
    checkpoint = await restarted.load()
    assert (checkpoint.state, checkpoint.offsets) == ({}, {"feedback": few[-1].id})
    assert [entry.id for entry in await restarted.read()] == [entry.id for entry in rest]
    with pytest.raises(TooManyDeadLetters):  # a restart does not forgive what came before it
        await restarted.commit(Commit(offsets={"feedback": rest[9].id}, parked=[(entry, "bad") for entry in rest[:10]]))
    assert len(await log.dead_letters()) == 10


async def test_a_few_unreadable_entries_among_many_do_not_stop_a_fold(backend: Backend) -> None:
    log = await backend.log(limits=Limits(dead_ratio_max=0.05))
    await log.append([feedback(f"e{i}") for i in range(97)])
    for _ in range(3):
        await write_raw(log, PARTITION, "feedback", b"bad")
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    entries = await fold.read()
    await fold.commit(Commit(offsets={"feedback": entries[-1].id}, parked=[(entry, "bad") for entry in entries[97:]]))
    assert len(await log.dead_letters()) == 3


async def test_a_relay_takes_each_entry_until_it_is_acknowledged(backend: Backend) -> None:
    log = await backend.log()
    await log.publish("support", [promoted("p1"), promoted("p2")])
    relay = log.relay("evolver", "one")
    taken = await relay.take(count_max=10)
    assert [(partition, decode(entry.body).event_id) for partition, entry in taken] == [
        (PARTITION, "p1"),
        (PARTITION, "p2"),
    ]
    assert await relay.take(wait_ms_max=0) == []
    assert await relay.acknowledge(PARTITION, [taken[0][1].id]) == 1
    assert await relay.acknowledge(PARTITION, [taken[0][1].id]) == 0
    assert await relay.acknowledge(PARTITION, []) == 0


async def test_a_relay_serves_all_partitions_and_shares_with_its_group(backend: Backend) -> None:
    log = await backend.log(partitions_count=4)
    loops = [f"loop-{i}" for i in range(12)]
    one, two = log.relay("evolver", "one"), log.relay("evolver", "two")
    for loop in loops:
        await log.publish(loop, [PromoteModel(event_id=loop, occurred_at=NOON, loop=loop, version="v")])
    seen: list[str] = []
    while found := [*await one.take(count_max=4, wait_ms_max=0), *await two.take(count_max=4, wait_ms_max=0)]:
        assert all(partition == partition_of(decode(entry.body).loop, 4) for partition, entry in found)
        seen += [decode(entry.body).loop for _, entry in found]
    assert sorted(seen) == sorted(loops)


async def test_a_waiting_relay_wakes_up_when_something_comes(backend: Backend) -> None:
    log, producer = await backend.log(), await backend.log()
    waiting = asyncio.create_task(log.relay("evolver", "one").take(wait_ms_max=10_000))
    await asyncio.sleep(0.05)
    await producer.publish("support", [promoted("p1")])
    started = time.monotonic()
    assert len(await waiting) == 1
    assert time.monotonic() - started < 2.0


async def test_what_a_dead_consumer_left_comes_to_another_after_a_while(backend: Backend) -> None:
    log = await backend.log()
    await log.publish("support", [promoted(f"p{i}") for i in range(5)])
    dead = log.relay("evolver", "dead")
    left = await dead.take(count_max=10)
    assert len(left) == 5
    heir = log.relay("evolver", "heir", idle_ms_min=400)
    assert await heir.take(wait_ms_max=0) == []
    await backend.pass_ms(450)
    taken = [*await heir.take(count_max=2), *await heir.take(count_max=3)]
    assert [entry.id for _, entry in taken] == [entry.id for _, entry in left]
    assert await heir.acknowledge(PARTITION, [entry.id for _, entry in taken]) == 5


async def test_a_restarted_consumer_gets_back_its_own_at_once_and_only_once(backend: Backend) -> None:
    log = await backend.log()
    await log.publish("support", [promoted(f"p{i}") for i in range(3)])
    left = await log.relay("evolver", "one").take(count_max=10)
    restarted = log.relay("evolver", "one")
    assert await restarted.take(count_max=10) == left
    assert await restarted.take(wait_ms_max=0) == []
    await log.publish("support", [promoted("p9")])
    assert [decode(entry.body).event_id for _, entry in await restarted.take()] == ["p9"]


async def test_what_was_said_before_the_group_existed_is_relayed_too(backend: Backend) -> None:
    log = await backend.log()
    await log.publish("support", [promoted("p1")])
    assert len(await log.relay("evolver", "one").take()) == 1
    assert len(await log.relay("exporter", "one").take()) == 1
