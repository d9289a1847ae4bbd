"""The monitor as a process of its own over a real server: it says that the broker is away, recovers, and stops at once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from meta_learning.streams.opening import open_log
from tests.brokers import running
from tests.services.monitor.program import answers, program
from tests.services.monitor.world import some_feedback


async def test_a_killed_broker_turns_readiness_red_and_everything_goes_on_when_it_is_back(
    tmp_path: Path, free_port: int
) -> None:
    with running(tmp_path / "broker", durability="fsync") as broker:
        url = broker.url
        log = open_log(url, 2)
        await log.start()
        async with program(url, tmp_path, free_port) as (process, http):
            await answers(http, "/readyz", 200)
            await log.append(some_feedback(40))
            assert broker.process is not None
            broker.process.kill()
            broker.process.wait()
            await answers(http, "/readyz", 503)
            assert (await http.get("/")).status_code == 200
            assert (await http.get("/healthz")).status_code == 200, "a broker that is away is no reason for a restart"
            broker.start()
            await answers(http, "/readyz", 200)
            await log.close()
            again = open_log(url, 2)
            await again.start()
            await again.append(some_feedback(30, seed=8))
            async with asyncio.timeout(20):
                while (await http.get("/api/system")).json()["counts"]["monitored"] != 70:
                    await asyncio.sleep(0.1)
            await again.close()
            assert process.returncode is None


async def test_a_stop_with_an_open_live_page_takes_no_time(tmp_path: Path, broker_url: str, free_port: int) -> None:
    async with program(broker_url, tmp_path, free_port) as (process, http):
        await answers(http, "/readyz", 200)
        async with http.stream("GET", "/api/live", timeout=10) as live:
            lines = live.aiter_lines()
            await anext(lines)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(4):
                async for _ in lines:
                    pass
                await process.wait()
    assert process.returncode in {0, -signal.SIGTERM}
