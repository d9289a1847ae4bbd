"""The log as a producer and an operator see it. Every test runs on every broker."""

from __future__ import annotations

import asyncio

import pytest

from meta_learning.errors import CallerError, ConfigurationError, OwnershipLost
from meta_learning.events import EvolutionRequested, ModelPromoted, PromoteModel, decode
from meta_learning.streams import START, Commit, Limits, Log, Taken, entry_order, partition_of
from tests.brokers import NOON, feedback
from tests.contract.backends import Backend

PARTITION = partition_of("support", 2)


def promoted(event_id: str, version: str = "v1", loop: str = "support") -> ModelPromoted:
    return ModelPromoted(event_id=event_id, occurred_at=NOON, loop=loop, version=version, cause="gate")


async def bodies(log: Log, stream: str = "feedback", partition: int = PARTITION) -> list[str]:
    assert stream in ("feedback", "events")
    entries = await log.entries(partition, "feedback" if stream == "feedback" else "events", count_max=10_000)
    return [decode(entry.body).event_id for entry in entries]


async def test_accepted_feedback_lies_in_its_partition_as_it_was_sent(backend: Backend) -> None:
    log = await backend.log()
    event = feedback("a1", asked="Grüße 🙂")
    [receipt] = await log.append([event], traceparent="00-abc-def-01")
    [entry] = await log.entries(PARTITION, "feedback")
    assert (receipt.taken, receipt.entry_id) == (Taken.ACCEPTED, entry.id)
    assert (decode(entry.body), entry.type, entry.traceparent) == (event, "FeedbackReceived", "00-abc-def-01")
    assert await log.entries(1 - PARTITION, "feedback") == []


async def test_sending_the_same_feedback_again_is_a_duplicate_with_the_first_entry_id(backend: Backend) -> None:
    log = await backend.log()
    first, again = await log.append([feedback("a1"), feedback("a1")])
    [later] = await log.append([feedback("a1")])
    assert again.taken is later.taken is Taken.DUPLICATE
    assert again.entry_id == later.entry_id == first.entry_id
    assert await bodies(log) == ["a1"]


async def test_the_same_id_with_another_body_is_a_conflict(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback("a1", score=1.0)])
    [receipt] = await log.append([feedback("a1", score=0.0)])
    assert receipt.taken is Taken.CONFLICT
    assert await bodies(log) == ["a1"]


async def test_an_id_belongs_to_its_loop(backend: Backend) -> None:
    log = await backend.log()
    receipts = await log.append([feedback("a1", loop="support"), feedback("a1", loop="sales")])
    assert [receipt.taken for receipt in receipts] == [Taken.ACCEPTED, Taken.ACCEPTED]


async def test_an_id_is_forgotten_after_the_identity_window(backend: Backend) -> None:
    log = await backend.log(limits=Limits(identity_window_s=1))
    await log.append([feedback("a1")])
    await backend.pass_ms(1050)
    [receipt] = await log.append([feedback("a1")])
    assert receipt.taken is Taken.ACCEPTED


async def test_a_batch_over_many_chunks_and_partitions_keeps_its_order(backend: Backend) -> None:
    log = await backend.log()
    batch = [feedback(f"e{i}", loop=("support", "sales", "news")[i % 3]) for i in range(1203)]
    receipts = await log.append(batch)
    assert {receipt.taken for receipt in receipts} == {Taken.ACCEPTED}
    for partition in range(2):
        sent = [event.event_id for event in batch if partition_of(event.loop, 2) == partition]
        assert await bodies(log, partition=partition) == sent
    for event, receipt in zip(batch[:5], receipts, strict=False):
        entries = await log.entries(partition_of(event.loop, 2), "feedback", count_max=1000)
        assert next(entry for entry in entries if entry.id == receipt.entry_id).body == event.encode()


async def test_senders_of_the_same_events_at_the_same_time_add_each_once(backend: Backend) -> None:
    logs = [await backend.log() for _ in range(3)]
    batch = [feedback(f"e{i}") for i in range(50)]
    replies = await asyncio.gather(*(log.append(batch) for log in logs))
    accepted = sum(receipt.taken is Taken.ACCEPTED for reply in replies for receipt in reply)
    assert accepted == len(await bodies(logs[0])) == 50


async def test_an_empty_batch_has_no_receipts(backend: Backend) -> None:
    log = await backend.log()
    assert await log.append([]) == []


async def test_too_much_that_no_fold_has_committed_pushes_back(backend: Backend) -> None:
    log = await backend.log(limits=Limits(backlog_count_max=3))
    receipts = await log.append([feedback(f"e{i}") for i in range(5)])
    assert [receipt.taken for receipt in receipts] == [Taken.ACCEPTED] * 3 + [Taken.BACK_PRESSURE] * 2
    assert (await log.append([feedback("e0")]))[0].taken is Taken.DUPLICATE
    assert (await log.append([feedback("other", loop="sales")]))[0].taken is Taken.ACCEPTED


async def test_the_slowest_fold_decides_and_its_commit_makes_room(backend: Backend) -> None:
    log = await backend.log(limits=Limits(backlog_count_max=3))
    quick, slow = log.fold("trainer", PARTITION), log.fold("monitor", PARTITION)
    await log.append([feedback(f"e{i}") for i in range(3)])
    for fold in (quick, slow):
        assert await fold.acquire("me")
        entries = await fold.read()
    await quick.commit(Commit(offsets={"feedback": entries[2].id}, counts={"feedback": 3}))
    assert (await log.append([feedback("e3")]))[0].taken is Taken.BACK_PRESSURE
    await slow.commit(Commit(offsets={"feedback": entries[0].id}, counts={"feedback": 1}))
    receipts = await log.append([feedback("e3"), feedback("e4")])
    assert [receipt.taken for receipt in receipts] == [Taken.ACCEPTED, Taken.BACK_PRESSURE]


async def test_the_number_of_loops_is_limited_exactly_over_all_partitions(backend: Backend) -> None:
    log = await backend.log(partitions_count=4, limits=Limits(loops_count_max=3))
    receipts = await log.append([feedback("e", loop=f"loop-{i}") for i in range(6)])
    assert [receipt.taken for receipt in receipts].count(Taken.ACCEPTED) == 3
    assert [receipt.taken for receipt in receipts].count(Taken.TOO_MANY_LOOPS) == 3
    known = await log.loops()
    assert len(known) == 3
    again = await log.append([feedback("more", loop=known[0]), feedback("e", loop="one-more")])
    assert [receipt.taken for receipt in again] == [Taken.ACCEPTED, Taken.TOO_MANY_LOOPS]


async def test_a_command_is_folded_in_order_with_the_feedback_and_said_once(backend: Backend) -> None:
    log = await backend.log()
    command = PromoteModel(event_id="c1", occurred_at=NOON, loop="support", version="v7")
    await log.append([feedback("a1")])
    first = await log.command("support", command)
    await log.append([feedback("a2")])
    assert await log.command("support", command) == first
    assert await bodies(log) == ["a1", "c1", "a2"]


async def test_pointers_move_with_the_events_that_say_so_and_once(backend: Backend) -> None:
    log = await backend.log()
    assert await log.pointer("support", "model") is None
    assert await log.publish("support", [promoted("p1", "v1")], {"model": "v1"}) == 1
    assert await log.publish("support", [promoted("p2", "v2")], {"model:support": "v2"}) == 1
    assert await log.publish("support", [promoted("p1", "v1")], {"model": "v1"}) == 0
    assert await log.pointer("support", "model") == "v2"
    assert await log.pointer("sales", "model") is None
    assert await bodies(log, "events") == ["p1", "p2"]


async def test_a_pointer_without_an_event_is_refused(backend: Backend) -> None:
    log = await backend.log()
    with pytest.raises(CallerError):
        await log.publish("support", [], {"model": "v1"})


async def test_loops_are_listed_sorted_once_they_have_an_entry(backend: Backend) -> None:
    log = await backend.log(limits=Limits(backlog_count_max=2))
    await log.append([feedback("a", loop=loop) for loop in ("support", "news", "sales")])
    await log.append([feedback("b", loop=loop) for loop in ("support", "news", "sales")])
    refused = await log.append([feedback("c", loop=f"late-{i}") for i in range(8)])
    taken = {f"late-{i}" for i, receipt in enumerate(refused) if receipt.taken is Taken.ACCEPTED}
    assert await log.loops() == sorted({"support", "news", "sales"} | taken)


async def test_another_number_of_partitions_is_refused(backend: Backend) -> None:
    await backend.log(partitions_count=2)
    with pytest.raises(ConfigurationError, match="2 at first start"):
        await backend.log(partitions_count=3)
    await backend.log(partitions_count=2)


async def test_a_partition_that_does_not_exist_is_a_mistake_of_the_caller(backend: Backend) -> None:
    log = await backend.log()
    with pytest.raises(CallerError):
        log.fold("trainer", 2)
    with pytest.raises(CallerError):
        await log.entries(-1, "feedback")


async def test_trimming_never_passes_the_slowest_reader(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback(f"e{i}") for i in range(10)])
    entries = await log.entries(PARTITION, "feedback")
    assert await log.trimmable(PARTITION, "feedback") == START
    assert await log.trim(PARTITION, "feedback", entries[-1].id) == 0
    for role, place in (("trainer", 7), ("monitor", 3)):
        fold = log.fold(role, PARTITION)
        assert await fold.acquire("me")
        await fold.commit(Commit(offsets={"feedback": entries[place].id}, counts={"feedback": place + 1}))
    assert await log.trimmable(PARTITION, "feedback") == entries[3].id
    assert await log.trim(PARTITION, "feedback", entries[1].id) == 2
    assert await log.trim(PARTITION, "feedback", entries[-1].id) == 2
    assert [entry.id for entry in await log.entries(PARTITION, "feedback")] == [entry.id for entry in entries[4:]]
    assert (await log.totals())["trimmed"] == 4


async def test_a_fold_that_has_committed_nothing_yet_keeps_its_entries_from_being_trimmed(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback("e0")])
    [entry] = await log.entries(PARTITION, "feedback")
    quick, late = log.fold("trainer", PARTITION), log.fold("monitor", PARTITION)
    assert await late.acquire("me")
    assert await quick.acquire("me")
    await quick.commit(Commit(offsets={"feedback": entry.id}))
    assert await log.trim(PARTITION, "feedback", entry.id) == 0


async def test_a_relay_bounds_trimming_by_its_oldest_unacknowledged_entry(backend: Backend) -> None:
    log = await backend.log()
    await log.publish("support", [promoted(f"p{i}") for i in range(4)])
    relay = log.relay("evolver", "one")
    taken = [entry.id for _, entry in await relay.take(count_max=8)]
    assert await log.trimmable(PARTITION, "events") == START
    await relay.acknowledge(PARTITION, [taken[0], taken[2]])
    assert await log.trimmable(PARTITION, "events") == taken[0]
    await relay.acknowledge(PARTITION, [taken[1], taken[3]])
    assert await log.trimmable(PARTITION, "events") == taken[3]
    assert await log.trim(PARTITION, "events", taken[3]) == 4


async def test_lag_counts_what_is_not_committed_and_ages_with_its_oldest_entry(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await log.append([feedback(f"e{i}") for i in range(3)])
    await backend.pass_ms(50)
    entries = await fold.read()
    [lag] = await log.lags()
    assert (lag.role, lag.partition, lag.stream, lag.entries_count) == ("trainer", PARTITION, "feedback", 3)
    assert 0.05 <= lag.oldest_age_s < 5.0
    await fold.commit(Commit(offsets={"feedback": entries[1].id}))
    assert (await log.lags())[0].entries_count == 1
    await fold.commit(Commit(offsets={"feedback": entries[2].id}))
    [lag] = await log.lags()
    assert (lag.entries_count, lag.oldest_age_s) == (0, 0.0)


async def test_a_new_role_lags_by_what_is_still_there(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback(f"e{i}") for i in range(5)])
    entries = await log.entries(PARTITION, "feedback")
    trainer, monitor = log.fold("trainer", PARTITION), log.fold("monitor", PARTITION)
    assert await trainer.acquire("me")
    await trainer.commit(Commit(offsets={"feedback": entries[4].id}))
    await log.trim(PARTITION, "feedback", entries[2].id)
    assert await monitor.acquire("me")
    assert {lag.role: lag.entries_count for lag in await log.lags()} == {"trainer": 0, "monitor": 2}


async def test_a_relays_lag_holds_what_is_unread_and_what_is_unacknowledged(backend: Backend) -> None:
    log = await backend.log()
    relay = log.relay("evolver", "one")
    assert await relay.take(wait_ms_max=0) == []
    await log.publish("support", [promoted(f"p{i}") for i in range(3)])
    [(partition, entry)] = await relay.take(count_max=1)
    lags = {lag.partition: lag.entries_count for lag in await log.lags() if lag.role == "evolver"}
    assert lags == {PARTITION: 3, 1 - PARTITION: 0}
    await relay.acknowledge(partition, [entry.id])
    assert next(lag for lag in await log.lags() if lag.partition == PARTITION).entries_count == 2


async def test_the_totals_close(backend: Backend) -> None:
    log = await backend.log(limits=Limits(backlog_count_max=4, loops_count_max=1))
    await log.append(
        [feedback("a1"), feedback("a1"), feedback("a2"), feedback("a1", score=0.0), feedback("x", loop="no")]
    )
    await log.command("support", PromoteModel(event_id="c1", occurred_at=NOON, loop="support", version="v7"))
    await log.append([feedback("a3"), feedback("a4")])
    await log.publish("support", [promoted("p1")])
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    entries = await fold.read()
    request = EvolutionRequested(event_id="r1", occurred_at=NOON, loop="support", run_id="run-1")
    commit = Commit(offsets={"feedback": entries[1].id}, emit=[request], parked=[(entries[0], "unreadable")])
    await fold.commit(commit)
    await log.trim(PARTITION, "feedback", entries[1].id)
    [letter] = await log.dead_letters()
    await log.replay([letter.id])
    totals = await log.totals()
    outcomes = {name: totals[name] for name in ("accepted", "duplicate", "conflict", "back_pressure", "too_many_loops")}
    assert outcomes == {"accepted": 3, "duplicate": 1, "conflict": 1, "back_pressure": 1, "too_many_loops": 1}
    assert totals["entries_feedback"] == totals["accepted"] + totals["commands"] + totals["replayed"] == 5
    assert totals["entries_events"] == totals["published"] + totals["emitted"] == 2
    assert totals["entries_feedback"] == totals["kept_feedback"] + totals["trimmed_feedback"]
    assert totals["parked"] == totals["replayed"] + totals["dead"] == 1
    assert totals["recoveries"] == 0


async def test_entries_pages_through_a_stream_in_id_order(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback(f"e{i}") for i in range(5)])
    page = await log.entries(PARTITION, "feedback", count_max=3)
    rest = await log.entries(PARTITION, "feedback", after=page[-1].id)
    ids = [entry.id for entry in [*page, *rest]]
    assert len(page) == 3
    assert len(ids) == await log.kept(PARTITION, "feedback") == 5
    assert ids == sorted(ids, key=entry_order)


async def test_trimming_up_to_what_is_no_entry_id_is_a_mistake_of_the_caller(backend: Backend) -> None:
    log = await backend.log()
    with pytest.raises(CallerError):
        await log.trim(PARTITION, "feedback", "latest")


async def test_trimming_up_to_the_last_possible_id_of_a_moment_is_fine(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback("e0")])
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    [entry] = await fold.read()
    await fold.commit(Commit(offsets={"feedback": f"{entry_order(entry.id)[0]}-18446744073709551615"}))
    assert await log.trim(PARTITION, "feedback", f"{entry_order(entry.id)[0]}-18446744073709551615") == 1


async def test_a_retired_role_holds_nothing_up_any_more(backend: Backend) -> None:
    log = await backend.log(limits=Limits(backlog_count_max=1))
    old, new = log.fold("old", PARTITION), log.fold("new", PARTITION)
    await log.append([feedback("e0")])
    await log.publish("support", [promoted("p1")])
    for fold in (old, new):
        assert await fold.acquire("me")
    [(_, event)] = await log.relay("old", "one").take()
    [entry] = await new.read()
    await new.commit(Commit(offsets={"feedback": entry.id}))
    assert await log.trimmable(PARTITION, "feedback") == START
    await log.retire("old")
    await log.retire("old")
    assert {lag.role for lag in await log.lags()} == {"new"}
    assert await log.trimmable(PARTITION, "feedback") == entry.id
    assert (await log.append([feedback("e1")]))[0].taken is Taken.ACCEPTED
    with pytest.raises(OwnershipLost):
        await old.commit(Commit(state={"a": b"1"}))
    assert await log.relay("old", "one").take() == [(PARTITION, event)]
