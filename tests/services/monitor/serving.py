"""A whole monitor behind a real port, in the test's own event loop."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from meta_learning.registry.store import MemoryStore
from meta_learning.serving.running import server_for
from meta_learning.streams import Log
from services.monitor.app import Parts, monitor_app
from services.monitor.consumer import PartitionConsumer
from services.monitor.operator import Operator
from services.monitor.view import View
from tests.brokers import NOON
from tests.services.monitor.world import QUICK, SETTINGS, WATCHES, Monitor


@dataclass
class Served(Monitor):
    """A served monitor, and a client for it."""

    http: httpx.AsyncClient | None = None
    url: str = ""
    stopping: asyncio.Task[None] | None = None

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """GET ``path``."""
        assert self.http is not None
        return await self.http.get(path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST a JSON body."""
        assert self.http is not None
        return await self.http.post(path, json=body, **options)

    async def put(self, path: str, body: Any) -> httpx.Response:
        """PUT a JSON body."""
        assert self.http is not None
        return await self.http.put(path, json=body)


@asynccontextmanager
async def serving(log: Log, key: str | None = None, port: int = 0) -> AsyncIterator[Served]:
    """The monitor's app over ``log``, until the end of the block; it must stop within 3 seconds."""
    view = View(log.partitions_count)
    ids = (f"id{number:030d}" for number in itertools.count())
    consumers = [PartitionConsumer(log, n, "monitor-1", view, WATCHES, QUICK) for n in range(log.partitions_count)]
    operator = Operator(log, MemoryStore(), view, now=lambda: NOON, new_id=lambda: f"{next(ids)[::-1]}")
    parts = Parts(log, view, consumers, operator, key)
    parts.system_every_s = 0.05
    listening = socket.create_server(("127.0.0.1", port))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = server_for(monitor_app(parts, SETTINGS), "127.0.0.1", 0, drain_s=3, on_stop=parts.live.close)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        served = Served(log, view, http=http, url=url)
        try:
            yield served
        finally:
            server.should_exit = True
            async with asyncio.timeout(3):
                await running


async def snapshots(served: Served, query: str = "") -> AsyncGenerator[dict[str, Any], None]:
    """The live stream's snapshots, as a browser would get them."""
    assert served.http is not None
    async with served.http.stream("GET", f"/api/live{query}", timeout=10) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))
