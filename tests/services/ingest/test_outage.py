"""A broker that is away: never a 2xx for what it did not take, readiness red, and recovery by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence

import httpx

from meta_learning.errors import BrokerUnavailable
from meta_learning.events import FeedbackReceived
from meta_learning.streams import Limits, Receipt
from meta_learning.streams.embedded import EmbeddedBroker
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.memory_broker import MemoryBroker
from meta_learning.streams.redis import RedisLog
from tests.services.ingest.serving import Door, door, good, plan, wait_until


def kill(broker: EmbeddedBroker) -> None:
    assert broker.process is not None
    broker.process.send_signal(signal.SIGKILL)
    broker.process.wait(10)


def test_a_killed_broker_gives_503_and_its_return_needs_nobody(own_broker: EmbeddedBroker) -> None:
    with door(RedisLog(own_broker.url, 2, Limits())) as served:
        assert served.send(good("a1")).status_code == 202
        kill(own_broker)
        for answer in (served.send(good("a2")), served.batch([good("a2"), good("a3")])):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert served.http.get("/readyz").status_code == 503
        assert served.http.get("/healthz").status_code == 200
        assert served.metric("meta_learning_ingest_broker_up") == 0
        own_broker.start()
        answer = served.batch([good("a1"), good("a2"), good("a3")])
        assert answer.json()["items"][0]["outcome"] == "duplicate"
        assert set(answer.json()["counts"]) <= {"accepted", "duplicate"}
        assert served.http.get("/readyz").status_code == 200


def test_a_broker_that_was_never_there_is_waited_for(own_broker: EmbeddedBroker) -> None:
    url = own_broker.url
    own_broker.stop()
    with door(RedisLog(url, 2, Limits())) as served:
        assert served.http.get("/readyz").status_code == 503
        assert served.send(good("a1")).status_code == 503
        own_broker.start()
        with httpx.Client(base_url=served.url, timeout=5) as http:
            wait_until(lambda: http.get("/readyz").status_code == 200)
        assert served.send(good("a1")).status_code == 202


def test_a_frozen_broker_does_not_hold_requests_for_ever(own_broker: EmbeddedBroker) -> None:
    with door(RedisLog(own_broker.url, 2, Limits()), plan(broker_wait_s_max=0.3)) as served:
        assert own_broker.pid is not None
        os.kill(own_broker.pid, signal.SIGSTOP)
        try:
            answer = served.send(good("a1"))
            assert answer.status_code == 503
            assert answer.elapsed.total_seconds() < 3
        finally:
            os.kill(own_broker.pid, signal.SIGCONT)
        assert served.send(good("a1")).status_code in {200, 202}


class BreaksAfter(MemoryLog):
    """A log whose broker goes away after some appends, having taken half of the last one."""

    appends_left = 2

    async def append(self, events: Sequence[FeedbackReceived], traceparent: str | None = None) -> list[Receipt]:
        if self.appends_left == 0:
            await super().append(events[: len(events) // 2], traceparent)
            raise BrokerUnavailable("the broker is gone")
        self.appends_left -= 1
        return await super().append(events, traceparent)


def test_a_batch_that_breaks_off_says_what_was_taken_and_is_safe_to_send_again() -> None:
    log = BreaksAfter(2)
    sent = [good(f"e{n}") if n != 4 else good("e4", loop="NO") for n in range(10)]
    with door(log, plan(append_items_max=2)) as served:
        answer = served.batch(sent)
        assert answer.status_code == 503
        assert [item["outcome"] for item in answer.json()["items"]] == (
            ["accepted"] * 4 + ["invalid", "unknown"] + ["not_sent"] * 4
        )
        assert answer.json()["items"][5]["event_id"] == "e5"
        log.appends_left = 100
        again = served.batch(sent)
        assert again.json()["counts"] == {"duplicate": 4, "invalid": 1, "accepted": 5}


def test_everything_that_comes_is_counted_once_by_its_outcome(memory_door: Door, fake: MemoryBroker) -> None:
    memory_door.send(good("a1"))
    memory_door.send(good("a1"))
    memory_door.send(good("a1", output_text="Other."))
    memory_door.send(good(loop="NO"))
    memory_door.batch([good("a2"), 3, good("a1")])
    fake.down = True
    memory_door.send(good("a3"))
    counts = {
        outcome: memory_door.metric(f'meta_learning_ingest_feedback_total{{outcome="{outcome}"}}')
        for outcome in ("accepted", "duplicate", "conflict", "invalid", "unknown")
    }
    assert counts == {"accepted": 2, "duplicate": 2, "conflict": 1, "invalid": 2, "unknown": 1}


class Held(MemoryLog):
    """A log whose appends wait until the test lets them go, as behind a slow disk."""

    def __init__(self) -> None:
        super().__init__(2)
        self.entered = threading.Event()
        self.let_go = threading.Event()
        self.sizes: list[int] = []

    async def append(self, events: Sequence[FeedbackReceived], traceparent: str | None = None) -> list[Receipt]:
        self.sizes.append(len(events))
        self.entered.set()
        await asyncio.to_thread(self.let_go.wait, 10)
        return await super().append(events, traceparent)


def test_what_arrives_during_an_append_goes_together_in_the_next() -> None:
    log = Held()
    with door(log) as served:
        answers = in_background(served, count=1)
        assert log.entered.wait(10)
        answers += in_background(served, count=20)
        wait_until(lambda: served.metric("meta_learning_ingest_waiting_items") == 20)
        log.let_go.set()
        assert [done.result() for done in answers] == [202] * 21
    assert log.sizes == [1, 20]


def test_a_queue_that_is_full_says_when_to_come_back() -> None:
    log = Held()
    with door(log, plan(waiting_count_max=1)) as served:
        answers = in_background(served, count=1)
        assert log.entered.wait(10)
        answers += in_background(served, count=1)
        wait_until(lambda: served.metric("meta_learning_ingest_waiting_items") == 1)
        refused = served.send(good())
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        log.let_go.set()
        assert [done.result() for done in answers] == [202] * 2


def test_a_stop_lets_open_requests_finish() -> None:
    log = Held()
    with door(log) as served:
        answers = in_background(served, count=1)
        assert log.entered.wait(10)
        answers += in_background(served, count=2)
        wait_until(lambda: served.metric("meta_learning_ingest_waiting_items") == 2)
        stopping = threading.Thread(target=served.stop)
        stopping.start()
        wait_until(lambda: refuses_connections(served.url))
        log.let_go.set()
        assert [done.result() for done in answers] == [202] * 3
        stopping.join(10)
    assert sum(len(log.broker[partition].streams["feedback"].entries) for partition in range(2)) == 3


class Background:
    """One request under way in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._status = 0
        self._thread = threading.Thread(target=self._send, args=(url,))
        self._thread.start()

    def _send(self, url: str) -> None:
        self._status = httpx.post(f"{url}/v1/feedback", json=good(), timeout=15).status_code

    def result(self) -> int:
        self._thread.join(20)
        return self._status


def in_background(served: Door, count: int) -> list[Background]:
    return [Background(served.url) for _ in range(count)]


def refuses_connections(url: str) -> bool:
    try:
        httpx.get(f"{url}/healthz")
    except httpx.TransportError:
        return True
    return False
