"""Reading a request's body within bounds: a slow, endless or oversized one must cost the door little.

The framework's own limit does not see the doors that stand in front of it, so bytes are counted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

JSON = frozenset({"application/json", ""})  # nothing said means JSON, as most HTTP clients mean it
NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
DISCARD_TIMES_MAX = 4
# What is still to come of a body nobody waits for any more would keep the connection open, drop by drop.
HANG_UP = {"Connection": "close"}


def header(scope: Scope, name: bytes) -> bytes:
    """The first header called ``name`` (lower case), or nothing."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def media_type(scope: Scope, accepted: frozenset[str]) -> str:
    """The body's media type without parameters.

    Raises:
        HTTPException: 415, it is none of ``accepted``, or the body is compressed.
    """
    given = header(scope, b"content-type").decode("latin-1")
    name, _, parameters = given.partition(";")
    name = name.strip().lower()
    if name not in accepted:
        wanted = ", ".join(sorted(accepted - {""}))
        raise HTTPException(415, f"the body must be one of {wanted}; Content-Type says {name[:100] or 'nothing'}")
    if "charset=" in parameters.lower() and "utf-8" not in parameters.lower():
        raise HTTPException(415, "the body must be UTF-8")
    if header(scope, b"content-encoding").lower() not in {b"", b"identity"}:
        raise HTTPException(415, "the body must not be compressed (Content-Encoding)")
    return name


class Bodies:
    """Reads bodies; all those in hand together hold at most ``in_hand_bytes_max``."""

    def __init__(self, in_hand_bytes_max: int, wait_s_max: float) -> None:
        self._in_hand_bytes_max = in_hand_bytes_max
        self._wait_s_max = wait_s_max
        self.in_hand_bytes = 0

    async def read(self, scope: Scope, receive: Receive, bytes_max: int) -> bytes:
        """The whole body.

        Raises:
            HTTPException: 413 above ``bytes_max``, 408 when it comes too slowly, 400 when it breaks off.
        """
        length = header(scope, b"content-length")
        if length.isdigit() and int(length) > bytes_max:
            await self._discard(receive, bytes_max * DISCARD_TIMES_MAX)
            raise _too_large(bytes_max)
        return await self._whole(self.timed(receive), bytes_max)

    def timed(self, receive: Receive) -> Receive:
        """``receive``, but it raises `HTTPException` 408 once the whole body has taken too long."""
        deadline = asyncio.get_running_loop().time() + self._wait_s_max

        async def next_message() -> Message:
            try:
                async with asyncio.timeout_at(deadline):
                    return await receive()
            except TimeoutError:
                detail = f"the body did not come within {self._wait_s_max:g} s"
                raise HTTPException(408, detail, headers=HANG_UP) from None

        return next_message

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Count ``size`` bytes as in hand. Raises `HTTPException` 503 when that is too much for this process."""
        if self.in_hand_bytes + size > self._in_hand_bytes_max:
            raise HTTPException(503, "too many large bodies at once", headers={"Retry-After": "1"})
        self.in_hand_bytes += size
        try:
            yield
        finally:
            self.in_hand_bytes -= size

    async def discard(self, scope: Scope, receive: Receive, bytes_max: int) -> None:
        """Read and forget a body that will be refused, so that its sender gets to read the answer."""
        if header(scope, b"content-length") not in {b"", b"0"} or header(scope, b"transfer-encoding"):
            await self._discard(receive, bytes_max)

    async def _whole(self, receive: Receive, bytes_max: int) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            with self.hold(size):
                message = await self._next(receive)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > bytes_max:
                await self._discard(receive, bytes_max * DISCARD_TIMES_MAX) if more else None
                raise _too_large(bytes_max)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self, receive: Receive) -> Message:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "the body broke off")
        return message

    async def _discard(self, receive: Receive, bytes_max: int) -> None:
        try:
            async with asyncio.timeout(self._wait_s_max):
                while bytes_max > 0:
                    message = await receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
                    bytes_max -= len(message.get("body", b""))
        except TimeoutError:
            return


def _too_large(bytes_max: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {bytes_max} bytes; send smaller batches", headers=HANG_UP)
