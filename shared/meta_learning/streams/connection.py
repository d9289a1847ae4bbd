"""The way to a Redis server: two pools (answers, and blocking reads), no hidden retries, and one error when it is down.

redis-py's defaults are wrong for a log. Ten retries append an entry twice; a socket timeout of 5 s breaks longer
blocking reads; a full pool raises instead of waiting. So nothing is retried here (every write of ours is idempotent:
its sender may simply send it again), and blocking reads wait on connections of their own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from meta_learning.errors import BrokerUnavailable, ConfigurationError

CONNECT_S = 1.0
ANSWER_S = 5.0  # a commit may carry megabytes and a busy disk stall it: 2.0 raised a false alarm in a benchmark
CONNECTIONS_MAX = 32
READERS_MAX = 256  # one connection waits for each fold and relay of the process

# What a server answers while it cannot do its work; everything else it answers is a mistake of ours.
_UNABLE = {"MISCONF", "OOM", "READONLY", "LOADING", "BUSY", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "TRYAGAIN"}
_REFUSED_CLASSES = (
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
)
_UNABLE_CLASSES = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    exceptions.InvalidResponse,
    OSError,  # and with it TimeoutError
)


def is_unable(error: BaseException) -> bool:
    """Whether ``error`` says that the broker is down, full or not ready (as opposed to: we asked nonsense).

    >>> is_unable(exceptions.ResponseError("MISCONF Errors writing to the AOF file")), is_unable(ValueError())
    (True, False)
    """
    if isinstance(error, _UNABLE_CLASSES):
        return True
    return isinstance(error, exceptions.ResponseError) and str(error).lstrip("-").partition(" ")[0] in _UNABLE


def refuses(error: BaseException) -> bool:
    """Whether the broker refused the credentials; while connecting, the client wraps that in a `ConnectionError`.

    >>> refuses(exceptions.NoPermissionError("this user has no permissions to run the 'xadd' command"))
    True
    """
    return isinstance(error, _REFUSED_CLASSES) or isinstance(error.__cause__, _REFUSED_CLASSES)


@contextmanager
def broker_errors() -> Iterator[None]:
    """Translate whatever means "down, full or not ready" into `BrokerUnavailable`."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        if refuses(error):
            raise ConfigurationError(f"the broker refuses these credentials: {error}") from error
        if is_unable(error):
            raise BrokerUnavailable(f"the broker cannot take this now: {error}") from error
        raise


class Connections:
    """The connections of one `RedisLog`; nothing is opened before the first command."""

    def __init__(self, url: str) -> None:
        self._commands: Any = _client(url, ANSWER_S, CONNECTIONS_MAX)
        self._readers: Any = _client(url, None, READERS_MAX)
        self._sources: dict[str, str] = {}

    async def command(self, *arguments: Any) -> Any:
        """One command, answered within ``ANSWER_S``."""
        with broker_errors():
            return await self._commands.execute_command(*arguments)

    async def wait(self, wait_ms: int, *arguments: Any) -> Any:
        """A command that blocks for ``wait_ms`` by itself. A server that hangs is noticed ``ANSWER_S`` later."""
        with broker_errors():
            # Not `wait_for`: before Python 3.12 it loses a cancellation that meets the answer, and its task never ends.
            async with asyncio.timeout(wait_ms / 1000 + ANSWER_S):
                return await self._readers.execute_command(*arguments)

    async def all(self, commands: Sequence[Sequence[Any]], atomic: bool = False) -> list[Any]:
        """Several commands in one round trip; ``atomic`` makes them one transaction (one slot)."""
        with broker_errors():
            async with self._commands.pipeline(transaction=atomic) as pipeline:
                for arguments in commands:
                    pipeline.execute_command(*arguments)
                return list(await pipeline.execute())

    async def script(self, source: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """Run one Lua script."""
        return (await self.scripts(source, [(keys, arguments)]))[0]

    async def scripts(
        self, source: str, calls: Sequence[tuple[Sequence[str], Sequence[str | bytes | int]]]
    ) -> list[Any]:
        """Run one Lua script for each of ``calls``, in order, in one round trip.

        A server that was restarted has forgotten its scripts: the calls that it refused for that are sent in full.
        """
        digest = self._sources.get(source)
        first = ("EVALSHA", digest) if digest else ("EVAL", source)
        replies = await self._replies([(*first, len(keys), *keys, *arguments) for keys, arguments in calls])
        forgotten = [at for at, reply in enumerate(replies) if isinstance(reply, exceptions.NoScriptError)]
        if forgotten:
            again = [("EVAL", source, len(calls[at][0]), *calls[at][0], *calls[at][1]) for at in forgotten]
            for at, reply in zip(forgotten, await self._replies(again), strict=True):
                replies[at] = reply
        self._sources.setdefault(source, _digest(source))
        for reply in replies:
            if isinstance(reply, Exception):
                with broker_errors():
                    raise reply
        return replies

    async def _replies(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        with broker_errors():
            async with self._commands.pipeline(transaction=False) as pipeline:
                for arguments in commands:
                    pipeline.execute_command(*arguments)
                return list(await pipeline.execute(raise_on_error=False))

    async def close(self) -> None:
        """Close both pools."""
        for client in (self._commands, self._readers):
            await client.aclose(close_connection_pool=True)


def _digest(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _client(url: str, answer_s: float | None, connections_max: int) -> Redis:
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections_max,
            timeout=ANSWER_S,
            socket_timeout=answer_s,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            health_check_interval=0,
        )
    except ValueError as error:
        raise ConfigurationError(f"the broker's URL cannot be read: {error}") from error
    return Redis(connection_pool=pool)
