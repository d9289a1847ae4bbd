"""The client and the real door together."""

from __future__ import annotations

import asyncio
import threading

import pytest

from meta_learning.client import AsyncFeedbackClient, FeedbackClient
from meta_learning.errors import CallerError, NotFound
from meta_learning.streams import Limits
from meta_learning.streams.embedded import EmbeddedBroker
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.redis import RedisLog
from services.ingest.keys import Keys, make_key
from tests.services.ingest.serving import Door, door, good, plan


def test_feedback_goes_in_and_the_order_of_candidates_comes_out(both: Door) -> None:
    with FeedbackClient(both.url) as client:
        first = client.send(**good("a1"))
        assert (first.event_id, first.outcome) == ("a1", "accepted")
        assert client.send(**good("a1")).outcome == "duplicate"
        with pytest.raises(CallerError, match="other content"):
            client.send(**good("a1", output_text="Other."))
        ranking = client.rank("support", "Hi", ["b", "a"], unit="u/7")
        assert [candidate.text for candidate in ranking.candidates] == ["b", "a"]
        assert ranking.model_version is None
        with pytest.raises(NotFound):
            client.prompt("support", unit="u/7 &")


def test_many_are_sent_once_however_often(both: Door) -> None:
    events = [good(f"e{n}", loop=f"loop{n % 3}") for n in range(2500)]
    with FeedbackClient(both.url) as client:
        assert client.send_many(events).accepted == 2500
        assert client.send_many(events).duplicate == 2500


def test_the_client_to_be_awaited_does_the_same() -> None:
    async def use(url: str) -> None:
        async with AsyncFeedbackClient(url) as client:
            assert (await client.send(**good("a1"))).outcome == "accepted"
            assert (await client.send_many([good("a1"), good("a2")])).accepted == 1
            assert (await client.rank("support", "Hi", ["a"])).propensity == 1.0
            with pytest.raises(NotFound):
                await client.prompt("support")

    with door(MemoryLog(2)) as served:
        asyncio.run(use(served.url))


def test_a_key_travels_with_every_request() -> None:
    key, entry = make_key("shop")
    with door(MemoryLog(2), plan(keys=Keys.parse(entry))) as served:
        with FeedbackClient(served.url, key) as client:
            assert client.send_many([good()]).accepted == 1
        with FeedbackClient(served.url, "wrong") as client, pytest.raises(CallerError, match="API key"):
            client.send(**good())


def test_a_sending_outlives_the_broker_and_counts_everything_once(own_broker: EmbeddedBroker) -> None:
    events = [good(f"e{n}") for n in range(3000)]
    with door(RedisLog(own_broker.url, 2, Limits())) as served, FeedbackClient(served.url) as client:
        assert client.send_many(events[:1000]).accepted == 1000
        own_broker.stop()
        back = threading.Timer(0.7, own_broker.start)
        back.start()
        report = client.send_many(events)
        back.join()
        assert (report.accepted + report.duplicate, report.refused) == (3000, [])
        assert client.send_many(events).duplicate == 3000
