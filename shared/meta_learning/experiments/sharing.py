"""Replies that the cells of a study share: equal questions are asked once, and every arm is charged as if it had asked."""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from meta_learning.errors import StoreUnavailable
from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.cache import FileCache, RememberingLLM

WAIT_S = 120.0
LOOK_S_MIN, LOOK_S_MAX = 0.005, 0.2


class SharedReplies(RememberingLLM):
    """``llm`` behind the replies in ``cache``, whose folder any number of processes of this machine may share.

    One of them asks; those that come to the same question meanwhile wait for its answer. Where it fails or dies, the next one
    asks, and after ``wait_s`` everybody asks for themselves: a call too many is better than a study that stands still.

    A known reply is not marked as cached: a budget must bind an arm alike whether another arm asked before it or not, or the
    results would depend on the order in which cells are run. ``saved_count`` says how many questions were not asked again.

    >>> import tempfile
    >>> from meta_learning.llm import Message
    >>> from meta_learning.llm.scripted import ScriptedLLM
    >>> hello = Request((Message("user", "hello"),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     llm = SharedReplies(ScriptedLLM(lambda request: "hi"), FileCache(folder))
    ...     [asyncio.run(llm.complete(hello)).cached for _ in range(2)], llm.saved_count
    ([False, False], 1)
    """

    def __init__(
        self,
        llm: LLM,
        cache: FileCache,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(llm, cache)
        self._claims, self._wait_s, self._clock = cache.folder / "claims", wait_s, clock
        self.saved_count = 0

    async def complete(self, request: Request) -> Reply:
        """What was answered before, or is being answered, to any cell; else a new answer."""
        digest = request.digest(self.provider, self.model)
        until, look_s = self._clock() + self._wait_s, LOOK_S_MIN
        while (known := self._cache.get(digest)) is None:
            with _claimed(self._claims / digest) as mine:
                # Once more: whoever held the claim before may just have put the answer down.
                if (known := self._cache.get(digest)) is not None:
                    break
                if mine or self._clock() >= until:
                    return await super().complete(request)
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, LOOK_S_MAX)
        self.saved_count += 1
        return replace(known, cached=False)


class ReadAsText:
    """``llm`` as one that gives no log-probabilities of labels: what it says is read as text."""

    def __init__(self, llm: LLM) -> None:
        self.provider, self.model = llm.provider, llm.model
        # Of an unknown server there is more to find out than labels: what is asked of it stays so.
        self.capabilities = replace(llm.capabilities, label_logprobs=False)
        self._llm = llm

    async def complete(self, request: Request) -> Reply:
        """The model's own reply, to a request without labels."""
        return await self._llm.complete(replace(request, labels=()))

    async def close(self) -> None:
        """Close the model within."""
        await self._llm.close()


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Whether the claim is now this caller's, until it leaves; a process that dies leaves it too.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror or error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            # Before the lock goes: who holds the removed file then finds the answer, or asks.
            path.unlink(missing_ok=True)
