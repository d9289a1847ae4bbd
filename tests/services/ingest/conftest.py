"""A door over the fake log and over a real server: every test that takes ``both`` runs on each."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meta_learning.streams import Limits, Log
from meta_learning.streams.embedded import EmbeddedBroker
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.memory_broker import MemoryBroker
from meta_learning.streams.redis import RedisLog
from tests.brokers import running
from tests.services.ingest.serving import Door, door

LogMaker = Callable[[Limits], Log]


@pytest.fixture(scope="session")
def ingest_broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server for the session; each test has keys of its own in it."""
    with running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker.url


@pytest.fixture(params=["memory", "redis"])
def make_log(request: pytest.FixtureRequest) -> LogMaker:
    """Makes logs that all see the same streams."""
    if request.param == "memory":
        broker = MemoryBroker()
        return lambda limits: MemoryLog(2, limits, broker)
    url, prefix = request.getfixturevalue("ingest_broker_url"), f"t{uuid.uuid4().hex[:8]}"
    return lambda limits: RedisLog(url, 2, limits, prefix)


@pytest.fixture
def both(make_log: LogMaker) -> Iterator[Door]:
    """The served app, once over memory, once over a real server."""
    with door(make_log(Limits())) as served:
        yield served


@pytest.fixture
def fake() -> MemoryBroker:
    """A broker in memory, whose outage is a switch."""
    return MemoryBroker()


@pytest.fixture
def memory_door(fake: MemoryBroker) -> Iterator[Door]:
    """The served app over `fake`."""
    with door(MemoryLog(2, Limits(), fake)) as served:
        yield served


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A real server that a test may kill; it forgets nothing, for under `everysec` a slow fsync delays even the write."""
    with running(tmp_path / "broker", durability="fsync") as broker:
        yield broker
