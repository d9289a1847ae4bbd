"""Calls that were cancelled before anything was sent for them, or whose batch goes on: they are nothing to count.

>>> async def ask():
...     try:
...         with nothing_sent():
...             await asyncio.sleep(60)
...     except asyncio.CancelledError as error:
...         return is_unsent(error)
>>> async def cancelled():
...     task = asyncio.create_task(ask())
...     await asyncio.sleep(0)
...     task.cancel()
...     return await task
>>> asyncio.run(cancelled())
True
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

# Not a class of its own: `asyncio.timeout` takes no other for its own cancellation.
_SIGN = "nothing was sent"


def is_unsent(error: asyncio.CancelledError) -> bool:
    """Whether nobody can bill the call that was cancelled."""
    return error.args == (_SIGN,)


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Around whatever is waited for before a call goes out."""
    try:
        yield
    except asyncio.CancelledError:
        raise asyncio.CancelledError(_SIGN) from None
