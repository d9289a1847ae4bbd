"""Logs for the monitor's tests: one in memory, one over a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from meta_learning.streams import Log
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.redis import RedisLog


@pytest.fixture(params=["memory", "redis"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    """A started log of two partitions."""
    opened: Log
    if request.param == "memory":
        opened = MemoryLog(2)
    else:
        opened = RedisLog(request.getfixturevalue("broker_session_url"), 2, prefix=f"t{uuid.uuid4().hex[:8]}")
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def memory_log() -> AsyncIterator[MemoryLog]:
    """A started log in memory, of one partition."""
    opened = MemoryLog(1)
    await opened.start()
    yield opened
    await opened.close()
