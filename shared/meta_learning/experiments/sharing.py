"""Replies that the cells of a study share: equal questions are asked once, and every arm is charged as if it had asked."""

from __future__ import annotations

from dataclasses import replace

from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.cache import FileCache, RememberingLLM


class SharedReplies(RememberingLLM):
    """``llm`` behind the replies in ``cache``.

    A known reply is not marked as cached: a budget must bind an arm alike whether another arm asked before it or not, or the
    results would depend on the order in which cells are run. ``saved_count`` says how many questions were not asked again.

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

    async def complete(self, request: Request) -> Reply:
        """What was answered before, to any cell, or a new answer."""
        reply = await super().complete(request)
        self.saved_count += reply.cached
        return replace(reply, cached=False)
