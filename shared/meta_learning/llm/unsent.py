"""Calls that were cancelled before anything was sent for them, or whose batch goes on: they are nothing to count.

>>> async def ask():
...     try:
...         with nothing_sent():
...             await asyncio.sleep(60)
...     except NotSent:
...         return "never left"
>>> async def cancelled():
...     task = asyncio.create_task(ask())
...     await asyncio.sleep(0)
...     task.cancel()
...     return await task
>>> asyncio.run(cancelled())
'never left'
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class NotSent(asyncio.CancelledError):
    """A call was cancelled that nobody can bill; between an adapter and `metered`, which raises a plain cancellation again."""


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Around whatever is waited for before a call goes out."""
    try:
        yield
    except asyncio.CancelledError as error:
        raise NotSent(*error.args) from None
