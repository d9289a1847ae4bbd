"""The first request of an adapter with a parameter goes alone: that a server refuses it is heard once, not by all at once.

>>> async def ask(first, sent, at_once):
...     async def send():
...         sent.append(len(at_once) + 1)
...         at_once.append(None)
...         await asyncio.sleep(0)
...         at_once.pop()
...     await first.ask(lambda: {"temperature"}, send)
>>> async def asked_at_once(first, sent):
...     at_once = []
...     await asyncio.gather(*(ask(first, sent, at_once) for _ in range(4)))
...     return sent[0], max(sent) > 1
>>> asyncio.run(asked_at_once(FirstAlone(), []))
(1, True)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar
from weakref import WeakKeyDictionary

from meta_learning.errors import CallerError, LLMUnavailable, ParameterRefused
from meta_learning.llm.unsent import nothing_sent

_T = TypeVar("_T")


class FirstAlone:
    """Lets one request through at a time while it holds a parameter that none was answered with yet."""

    def __init__(self) -> None:
        self._tried: set[str] = set()
        # A lock belongs to one loop; a client that is not async may serve several, one after another.
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def ask(self, names: Callable[[], Collection[str]], send: Callable[[], Awaitable[_T]]) -> _T:
        """What ``send`` brings; ``names()``, the parameters that it sends, may be fewer once others were heard."""
        if not self._tried.issuperset(names()):
            lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
            with nothing_sent():
                await lock.acquire()
            try:
                tried = frozenset(names())
                if not self._tried.issuperset(tried):
                    return await self._first(tried, send)
            finally:
                lock.release()
        return await send()

    async def _first(self, names: frozenset[str], send: Callable[[], Awaitable[_T]]) -> _T:
        try:
            answer = await send()
        except ParameterRefused:
            raise
        except CallerError as error:
            # Billed without a word: the parameters were taken.
            if error.billed:
                self._tried |= names
            raise
        except LLMUnavailable:
            # Says nothing about parameters, but the others need not each wait for a time-out of their own in turn.
            self._tried |= names
            raise
        self._tried |= names
        return answer
