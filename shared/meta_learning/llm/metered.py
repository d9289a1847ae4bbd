"""A model with a cache before it, a retry loop around it, and a ledger that counts every attempt."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from meta_learning.errors import MetaLearningError
from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.cache import ReplyCache
from meta_learning.llm.ledger import Ledger
from meta_learning.llm.retry import Retrying
from meta_learning.llm.unsent import is_unsent


class MeteredLLM:
    """See `metered`."""

    def __init__(self, llm: LLM, ledger: Ledger, cache: ReplyCache | None, retry: Retrying | None) -> None:
        self.provider = llm.provider
        self.model = llm.model
        self.capabilities = llm.capabilities
        self.ledger = ledger
        self._llm = llm
        self._cache = cache
        self._retry = retry
        self._in_flight: dict[str, asyncio.Lock] = {}

    async def complete(self, request: Request) -> Reply:
        """The cached reply, or a paid one.

        Raises:
            BudgetExhausted: the call might exceed a cap; it was not made.
        """
        if self._cache is None:
            return await self._paid(request)
        digest = request.digest(self.provider, self.model)
        # Equal requests at the same time are asked once: the second waits for the first one's reply.
        lock = self._in_flight.setdefault(digest, asyncio.Lock())
        async with lock:
            known = self._cache.get(digest)
            if known is not None:
                self.ledger.hit(request, self.provider, known)
                return replace(known, cached=True)
            reply = await self._paid(request)
            self._cache.put(digest, reply, request.purpose)
        self._in_flight.pop(digest, None)
        return reply

    async def close(self) -> None:
        """Close the model within."""
        await self._llm.close()

    async def _paid(self, request: Request) -> Reply:
        return await (self._retry.run(lambda: self._attempt(request)) if self._retry else self._attempt(request))

    async def _attempt(self, request: Request) -> Reply:
        held = self.ledger.reserve(request, self.provider, self.model)
        try:
            reply = await self._llm.complete(request)
        except Exception as error:
            entry = self.ledger.fail(held, error)
            if self._cache is not None:
                self._cache.failed(request.digest(self.provider, self.model), entry)
            raise
        except asyncio.CancelledError as error:
            if is_unsent(error):
                self.ledger.release(held)
                raise asyncio.CancelledError from None
            # The provider may have answered and billed by now: a call, also for every later life of the run.
            entry = self.ledger.fail(held, error)
            if self._cache is not None:
                with suppress(
                    MetaLearningError, OSError
                ):  # where that cannot be noted, the cancellation is what counts
                    self._cache.failed(request.digest(self.provider, self.model), entry)
            raise
        except BaseException as error:
            self.ledger.fail(held, error)
            raise
        self.ledger.settle(held, reply)
        # Some capabilities are only learnt by asking.
        self.capabilities = self._llm.capabilities
        return reply


def metered(llm: LLM, ledger: Ledger, cache: ReplyCache | None = None, retry: Retrying | None = None) -> LLM:
    """``llm`` behind a cache, a retry loop and ``ledger``: a cached reply costs nothing, every attempt is reserved and counted.

    >>> from meta_learning.llm import Message
    >>> from meta_learning.llm.cache import MemoryCache
    >>> from meta_learning.llm.scripted import ScriptedLLM
    >>> ledger, hello = Ledger(), Request((Message("user", "hello"),))
    >>> llm = metered(ScriptedLLM(lambda request: "hi"), ledger, MemoryCache())
    >>> asyncio.run(llm.complete(hello)).cached, asyncio.run(llm.complete(hello)).cached
    (False, True)
    >>> ledger.spent.calls
    1
    """
    return MeteredLLM(llm, ledger, cache, retry)
