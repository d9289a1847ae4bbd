"""Live updates by server-sent events (WHATWG HTML, section 9.2): a snapshot when something changed, a comment when nothing did.

Every message is a whole snapshot, so a client that missed some, or reconnected, has nothing to catch up with.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

from fastapi import HTTPException
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from services.monitor.shown import snapshot
from services.monitor.view import View

CLIENTS_MAX = 64
INTERVAL_S = 0.5
HEARTBEAT_S = 10.0
RETRY_MS = 2000


class Live:
    """The open live pages. `close` ends them all at once, so that a stop need not wait for them."""

    def __init__(
        self,
        view: View,
        interval_s: float = INTERVAL_S,
        heartbeat_s: float = HEARTBEAT_S,
        clients_max: int = CLIENTS_MAX,
    ) -> None:
        self._view = view
        self._interval_s = interval_s
        self._heartbeat_s = heartbeat_s
        self._clients_max = clients_max
        self._is_closed = asyncio.Event()

    def close(self) -> None:
        """End every open stream after what it is sending now."""
        self._is_closed.set()

    def response(self, loop: str | None) -> StreamingResponse:
        """The stream for one client that looks at ``loop``."""
        if self._view.live_clients_count >= self._clients_max:
            raise HTTPException(503, f"{self._clients_max} live pages are open already; close one.")
        # Not buffered by a proxy, and never stored: it holds what users wrote.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self.stream(loop), media_type="text/event-stream", headers=headers)

    async def stream(self, loop: str | None) -> AsyncGenerator[bytes, None]:
        """The bytes of the stream, until the client goes or `close` is called."""
        self._view.live_clients_count += 1
        try:
            seen = -1
            while not self._is_closed.is_set():
                if self._view.revision == seen:
                    yield KEEPALIVE_COMMENT
                else:
                    seen = self._view.revision
                    data = json.dumps(snapshot(self._view, loop), ensure_ascii=False, separators=(",", ":"))
                    yield format_sse_event(data_str=data, event="snapshot", id=str(seen), retry=RETRY_MS)
                await self._pause(seen)
        finally:
            self._view.live_clients_count -= 1

    async def _pause(self, seen: int) -> None:
        """Rest for the interval, then until there is news, until a heartbeat is due, or until the end."""
        if await self._closed_within(self._interval_s):
            return
        closing = asyncio.create_task(self._is_closed.wait())
        news = asyncio.create_task(self._view.after(seen))
        try:
            await asyncio.wait({closing, news}, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            news.cancel()

    async def _closed_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._is_closed.wait()
        except TimeoutError:
            return False
        return True
