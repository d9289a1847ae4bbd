"""The monitor as a process of its own, to be killed and asked."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.mourning import ends_with_us

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def program(
    url: str, folder: Path, port: int, **settings: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """`python -m services.monitor` on ``port``: with the same port it is the same owner of its leases."""
    environment = os.environ | {
        "REDIS_URL": url,
        "META_LEARNING_MONITOR_PORT": str(port),
        "META_LEARNING_PARTITIONS_COUNT": "2",
        "META_LEARNING_DATA_FOLDER": str(folder / "data"),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'shared'}",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.monitor", cwd=folder, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    ends_with_us(process.pid)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            yield process, http
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answers(http: httpx.AsyncClient, path: str, status: int, deadline_s: float = 40.0) -> httpx.Response:
    """Ask until ``path`` answers with ``status``: another process has no event to wait for."""
    async with asyncio.timeout(deadline_s):
        for _ in range(10_000):
            try:
                answer = await http.get(path, timeout=5)
                if answer.status_code == status:
                    return answer
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError("unreachable")
