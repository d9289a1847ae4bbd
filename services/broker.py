"""Keep the embedded broker alive for as long as the system runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from meta_learning.errors import MetaLearningError
from meta_learning.serving.ending import end
from meta_learning.streams.embedded import EmbeddedBroker

WATCH_S = 0.5
BACKOFF_S_MAX = 10.0


@asynccontextmanager
async def keep_alive(broker: EmbeddedBroker, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Restart the broker when it dies, with back-off, and stop it at the end; what it accepted is in its append-only file."""
    watch = asyncio.create_task(_watch(broker, say))
    try:
        yield
    finally:
        await end(watch)
        await asyncio.to_thread(broker.stop)


async def _watch(broker: EmbeddedBroker, say: Callable[[str], None]) -> None:
    wait_s = WATCH_S
    while True:
        await asyncio.sleep(wait_s)
        if broker.alive():
            wait_s = WATCH_S
            continue
        say("the broker died; starting it again from its append-only file")
        try:
            await asyncio.to_thread(broker.start)
        except (MetaLearningError, OSError) as error:
            say(f"the broker does not start: {error}")
        wait_s = min(BACKOFF_S_MAX, wait_s * 2)
