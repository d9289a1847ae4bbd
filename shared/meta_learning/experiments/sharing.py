"""Replies that the cells of a study share: equal questions are asked once, and every arm is charged as if it had asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.cache import FileCache, RememberingLLM


class SharedReplies(RememberingLLM):
    """``llm`` behind the replies in ``cache``.

    A known reply is not marked as cached: a budget must bind an arm alike whether another arm asked before it or not, or the
    results would depend on the order in which cells are run. ``saved_count`` says how many questions were not asked again.
    Of cells that ask the same at the same moment one asks, and the others wait for its reply.

    >>> import asyncio, tempfile
    >>> from meta_learning.llm import Message
    >>> from meta_learning.llm.scripted import ScriptedLLM
    >>> hello = Request((Message("user", "hello"),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     llm = SharedReplies(ScriptedLLM(lambda request: "hi"), FileCache(folder))
    ...     [asyncio.run(llm.complete(hello)).cached for _ in range(2)], llm.saved_count
    ([False, False], 1)
    """

    def __init__(self, llm: LLM, cache: FileCache) -> None:
        super().__init__(llm, cache)
        self.saved_count = 0
        self._asked: dict[str, asyncio.Event] = {}

    async def complete(self, request: Request) -> Reply:
        """What was answered before, to any cell, or a new answer."""
        digest = request.digest(self.provider, self.model)
        while (others := self._asked.get(digest)) is not None:
            # Whoever asked may have failed, or have been cancelled: then the next one asks.
            await others.wait()
        over = self._asked[digest] = asyncio.Event()
        try:
            reply = await super().complete(request)
        finally:
            del self._asked[digest]
            over.set()
        self.saved_count += reply.cached
        return replace(reply, cached=False)


class ReadAsText:
    """``llm`` as one that gives no log-probabilities of labels: what it says is read as text."""

    def __init__(self, llm: LLM) -> None:
        self.provider, self.model = llm.provider, llm.model
        can = llm.capabilities
        extras = {name: value for name, value in can.extras.items() if name != "label_logprobs"}
        self.capabilities = replace(can, label_logprobs=False, extras=extras)
        self._llm = llm

    async def complete(self, request: Request) -> Reply:
        """The model's own reply."""
        return await self._llm.complete(request)

    async def close(self) -> None:
        """Close the model within."""
        await self._llm.close()
