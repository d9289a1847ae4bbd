"""The log's pure parts: what needs no broker at all."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_learning.errors import CallerError, ConfigurationError
from meta_learning.streams import Commit, Entry, Limits, entry_order, partition_of
from meta_learning.streams.append import chunked, receipts_of
from meta_learning.streams.entries import checked_offset, dead_letter_from, entry_from, located
from meta_learning.streams.fold import commit_sections
from meta_learning.streams.keys import Keys, pointer_name, said_window_s
from meta_learning.streams.opening import open_log
from meta_learning.streams.outcomes import slide, too_many
from meta_learning.streams.position import Position
from meta_learning.streams.redis import RedisLog
from tests.brokers import feedback


@given(st.text(), st.integers(1, 64))
def test_a_loop_always_belongs_to_the_same_partition(loop: str, count: int) -> None:
    assert partition_of(loop, count) == zlib.crc32(loop.encode("utf-8")) % count


@given(st.lists(st.tuples(st.integers(0, 2**48), st.integers(0, 2**53)), min_size=1))
def test_entry_ids_sort_as_numbers(pairs: list[tuple[int, int]]) -> None:
    ids = sorted((f"{ms}-{seq}" for ms, seq in pairs), key=entry_order)
    assert [entry_order(entry_id) for entry_id in ids] == sorted(pairs)


def test_all_keys_of_a_partition_share_one_slot_and_differ() -> None:
    keys = Keys("prefix", 3)
    named = [keys.counters, keys.loops, keys.pointers, keys.dead, keys.dead_sources]
    named += [key(name) for name in ("feedback", "events") for key in (keys.stream, keys.offsets, keys.committed)]
    named += [keys.identity("support", "a"), keys.said("events", "a"), keys.lease("trainer"), keys.state("trainer")]
    assert len(set(named)) == len(named)
    assert all(key.startswith("prefix:{p3}:") for key in named)


@pytest.mark.parametrize("nonsense", ["", "3", "3/", "/1-0", "3/1", "3/1-0-0", "x/1-0", "3/+-1", "-1/1-0", "٣/1-0"])
def test_what_is_no_dead_letters_id_is_nowhere(nonsense: str) -> None:
    assert located(nonsense) == (-1, "")


@pytest.mark.parametrize("nonsense", ["", "+", "$", "latest", "1-", "-1", "1-x", "(1-0"])
def test_what_is_no_entry_id_is_refused(nonsense: str) -> None:
    with pytest.raises(CallerError):
        checked_offset(nonsense)


def test_a_strangers_entry_is_read_without_a_body_and_without_failing() -> None:
    assert entry_from("feedback", b"1-0", {b"\xff": b"?", b"type": b"\xff"}) == Entry("feedback", "1-0", b"", "\\xff")


def test_a_dead_letter_says_where_it_came_from() -> None:
    fields = {b"stream": b"events", b"id": b"5-0", b"type": b"T", b"body": b"?", b"traceparent": b"", b"reason": b"why"}
    letter = dead_letter_from(2, b"17-1", {**fields, b"role": b"monitor"})
    assert (letter.id, letter.parked_at_ms, letter.role, letter.reason) == ("2/17-1", 17, "monitor", "why")
    assert letter.source == Entry("events", "5-0", b"?", "T")


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20), st.integers(1, 60))
def test_the_window_holds_the_latest_outcomes_and_no_more(batches: list[tuple[int, int]], size: int) -> None:
    limits, window, unbounded = Limits(dead_window_count=size), "", ""
    for folded, parked in batches:
        window = slide(window, folded + parked, parked, limits)
        unbounded += "." * folded + "x" * parked
    assert window == unbounded[-size:]


def test_a_ratio_at_the_limit_is_not_past_it() -> None:
    limits = Limits(dead_ratio_max=0.1, dead_window_count=100)
    assert not too_many("x" * 10 + "." * 90, limits)
    assert too_many("x" * 11 + "." * 89, limits)


def test_a_handful_of_unreadable_entries_never_stops_a_fold() -> None:
    assert not too_many("x" * 19, Limits(dead_ratio_max=0.0))
    assert not too_many("xx" + "." * 18, Limits(dead_ratio_max=0.0))


def test_a_limit_of_one_never_stops_a_fold() -> None:
    assert not too_many("x" * 200, Limits(dead_ratio_max=1.0))


def test_a_position_counts_what_a_commit_covers_once() -> None:
    position = Position({"feedback": "0-0"})
    for number in range(1, 6):
        position.passed(Entry("feedback", f"{number}-0", b""))
    assert position.counts(Commit(offsets={"feedback": "3-0"})) == {"feedback": 3}
    position.committed("feedback", "3-0")
    assert position.counts(Commit(offsets={"feedback": "5-0"})) == {"feedback": 2}
    assert position.counts(Commit(offsets={"feedback": "5-0"}, counts={"feedback": 7})) == {"feedback": 7}


def test_the_sections_of_a_commit_are_counted_and_in_order() -> None:
    entry = Entry("feedback", "5-0", b"?", "T")
    commit = Commit(
        state={"a": b"1", "b": None}, offsets={"feedback": "5-0"}, pointers={"m:s": "v"}, parked=[(entry, "why")]
    )
    assert commit_sections(commit, {"feedback": 2}) == [
        *(2, "a", 1, b"1", "b", 0, b""),
        *(1, "feedback", "5-0", 2),
        0,
        *(1, "m:s", "v"),
        *(1, "feedback", "5-0", "T", b"?", "", "why"),
    ]


def test_receipts_come_in_the_batchs_order_with_refused_loops_between() -> None:
    chunk = [(4, feedback("a")), (7, feedback("b", loop="refused")), (9, feedback("c"))]
    receipts = dict(receipts_of(chunk, {"refused"}, [b"accepted", b"1-0", b"conflict", b""]))
    assert [(place, str(receipt.taken), receipt.entry_id) for place, receipt in receipts.items()] == [
        (4, "accepted", "1-0"),
        (7, "too_many_loops", None),
        (9, "conflict", None),
    ]


def test_chunks_cover_everything_in_order() -> None:
    items = [(i, feedback(f"e{i}")) for i in range(7)]
    assert [len(chunk) for chunk in chunked(items, 3)] == [3, 3, 1]
    assert [item for chunk in chunked(items, 3) for item in chunk] == items


def test_what_was_said_is_remembered_at_least_as_long_as_feedback() -> None:
    assert said_window_s(Limits()) == 7 * 24 * 3600
    assert said_window_s(Limits(identity_window_s=10**7)) == 10**7


def test_a_pointers_name_may_leave_out_the_loop() -> None:
    assert pointer_name("prompt", "support") == pointer_name("prompt:support", "support") == "prompt:support"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "rediss://127.0.0.1:1/2", "unix:///nowhere.sock?db=1"])
async def test_a_redis_url_opens_a_redis_log_without_connecting(url: str) -> None:
    log = open_log(url, partitions_count=3)
    assert isinstance(log, RedisLog)
    assert log.partitions_count == 3
    await log.close()


@pytest.mark.parametrize("url", ["kafka://x", "", "redis"])
def test_an_unknown_scheme_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_log(url)


def test_a_log_needs_a_partition() -> None:
    with pytest.raises(ConfigurationError):
        open_log("memory://", partitions_count=0)
