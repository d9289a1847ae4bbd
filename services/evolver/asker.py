"""Whoever answers questions from a run's desk: its owner among others, and any number of helpers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from redis.exceptions import RedisError

from meta_learning.llm import LLM
from meta_learning.serving.ending import end
from services.evolver.desk import Desk, Question, answered, refused

log = logging.getLogger("evolver.asker")
WAIT_S = 0.5
GRACE_S = 3.0  # what the calls on their way get once it is to stop


class Asker:
    """Takes questions as ``who``, as many at a time as ``llm`` stands, and says what came back."""

    def __init__(self, desk: Desk, llm: LLM, who: str, ttl_s: float) -> None:
        self.answered_count = 0
        self._desk, self._llm, self._who, self._ttl_s = desk, llm, who, ttl_s
        self._room = asyncio.Semaphore(max(1, llm.capabilities.concurrency_max))
        self._asking: set[asyncio.Task[None]] = set()
        self._digests: set[str] = set()
        self._unsure: Question | None = None

    async def run(self, should_stop: Callable[[], bool]) -> int:
        """Answer until ``should_stop``; how many."""
        await self._desk.note_here(self._who, self._ttl_s)
        beat = asyncio.create_task(self._live(), name="asker lives")
        try:
            while not should_stop() and not beat.done():
                with contextlib.suppress(TimeoutError):
                    await self._take()
            if self._asking:
                await asyncio.wait(self._asking, timeout=GRACE_S)
        finally:
            await end(beat, *self._asking)
            # Whoever waits for a call that was given up need not wait for the end of this life as well.
            with contextlib.suppress(Exception):
                await self._desk.note_gone(self._who)
        if not beat.cancelled() and (error := beat.exception()):
            raise error
        return self.answered_count

    async def _take(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self._room.acquire()
        question = None
        try:
            question = await self._next()
        except RedisError as error:
            await _pause(error)
        finally:
            if question is None:
                self._room.release()
        if question is not None:
            task = asyncio.create_task(self._answer(question), name="question")
            self._asking.add(task)
            self._digests.add(question.digest)
            task.add_done_callback(self._asking.discard)

    async def _next(self) -> Question | None:
        """The next question that is this process's to ask, if there is one."""
        # A claim may hold although its answer was lost on the way: then everybody waits for this process, which must ask again.
        self._unsure = self._unsure or await self._desk.take(WAIT_S)
        taken = self._unsure
        if taken is None:
            return None
        mine = taken.digest not in self._digests and await self._desk.claim(self._who, taken)
        self._unsure = None
        return taken if mine else None

    async def _answer(self, question: Question) -> None:
        try:
            try:
                said = answered(await self._llm.complete(question.request))
            except Exception as error:  # noqa: BLE001
                # Also one that nobody foresaw: it is the run's to fail by, not this process's.
                said = refused(error)
            self.answered_count += await self._say(question.digest, said)
        finally:
            self._digests.discard(question.digest)
            self._room.release()

    async def _say(self, digest: str, said: str) -> bool:
        """Lay the answer down, however long Redis is away: it was paid for."""
        while True:
            try:
                return await self._desk.say(self._who, digest, said)
            except RedisError as error:
                await _pause(error)

    async def _live(self) -> None:
        while True:
            try:
                await self._desk.note_here(self._who, self._ttl_s)
                await asyncio.sleep(self._ttl_s / 4)
            except RedisError as error:
                await _pause(error)


async def _pause(error: RedisError) -> None:
    log.warning("the run's desk cannot be reached", extra={"reason": type(error).__name__})
    await asyncio.sleep(WAIT_S)
