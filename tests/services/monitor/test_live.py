"""Server-sent events over a real connection."""

from __future__ import annotations

import asyncio
import time

from meta_learning.streams import Log
from meta_learning.streams.memory import MemoryLog
from services.monitor.live import Live
from services.monitor.shown import LIVE_LOOPS_MAX, snapshot
from services.monitor.view import View
from tests.services.monitor.serving import serving, snapshots
from tests.services.monitor.world import some_feedback, train


async def test_a_snapshot_comes_at_once_and_again_when_something_changed(log: Log) -> None:
    async with serving(log) as served:
        stream = snapshots(served, "?loop=support")
        assert (await anext(stream))["chosen"] is None
        await log.append(some_feedback(60))
        await train(log)
        async with asyncio.timeout(10):
            async for shot in stream:
                if shot["chosen"] and shot["chosen"]["cycles"] and shot["system"]["counts"]["monitored"] == 60:
                    break
        assert shot["chosen"]["loop"] == "support"
        assert {loop["loop"] for loop in shot["loops"]} == {"search", "support"}
        await stream.aclose()


async def test_news_are_held_together(memory_log: MemoryLog) -> None:
    """A hundred changes within the interval are one message."""
    view = View(1)
    stream = Live(view, interval_s=0.05).stream(None)
    first = await anext(stream)
    for _ in range(100):
        view.changed()
    second = await anext(stream)
    assert (b"id: 0" in first, b"id: 100" in second) == (True, True)


async def test_silence_is_broken_by_a_heartbeat() -> None:
    stream = Live(View(1), interval_s=0.01, heartbeat_s=0.02).stream(None)
    await anext(stream)
    assert await anext(stream) == b": ping\n\n"


async def test_an_open_page_does_not_hold_up_a_stop(memory_log: MemoryLog) -> None:
    async with serving(memory_log) as served:
        stream = snapshots(served)
        await anext(stream)
        reading = asyncio.create_task(_read_to_the_end(stream))
        stopping_at = time.perf_counter()
    await reading
    assert time.perf_counter() - stopping_at < 2


async def _read_to_the_end(stream: object) -> None:
    async for _ in stream:  # type: ignore[attr-defined]
        pass


async def test_the_number_of_open_pages_is_bounded_and_closing_one_makes_room() -> None:
    view = View(1)
    live = Live(view, clients_max=1)
    stream = live.stream(None)
    await anext(stream)
    assert view.live_clients_count == 1
    await stream.aclose()
    assert view.live_clients_count == 0


async def test_too_many_open_pages_are_refused(memory_log: MemoryLog) -> None:
    async with serving(memory_log) as served:
        served.view.live_clients_count = 64
        assert (await served.get("/api/live")).status_code == 503
        served.view.live_clients_count = 0


def test_the_snapshot_of_an_empty_system_says_so() -> None:
    shot = snapshot(View(2), None)
    assert (shot["loops"], shot["chosen"], shot["system"]["broker"]["up"]) == ([], None, False)


async def test_of_many_loops_the_busiest_are_listed_and_the_chosen_one_always(memory_log: MemoryLog) -> None:
    names = [f"loop-{number:03d}" for number in range(LIVE_LOOPS_MAX + 50)]
    events = [event for number, name in enumerate(names) for event in some_feedback(1, loops=(name,), seed=number)]
    await memory_log.append([*events, *some_feedback(5, loops=("busy",), seed=1000)])
    async with serving(memory_log) as served:
        view = await served.level()
        shot = snapshot(view, "loop-249")
    listed = [loop["loop"] for loop in shot["loops"]]
    assert (shot["loops_count"], len(listed)) == (len(names) + 1, LIVE_LOOPS_MAX + 1)
    assert {"busy", "loop-249"} <= set(listed)
    assert listed == sorted(listed)
    assert shot["chosen"]["loop"] == "loop-249"
    assert snapshot(view, None)["chosen"]["loop"] == "busy"
