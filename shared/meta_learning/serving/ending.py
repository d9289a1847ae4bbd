"""End asyncio tasks for sure.

One ``cancel()`` is not always enough: before Python 3.12, `asyncio.wait_for` loses a cancellation that meets its result, and
redis-py writes every command under it. A loop that lost its cancellation goes on for ever, and whoever waits for it too.
"""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 1.0  # long enough for what a task puts away when it is cancelled, such as giving a lease back


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel ``tasks`` until they have ended; what they raise is not raised here (``task.exception()`` has it)."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
