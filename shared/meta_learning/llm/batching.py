"""Many questions as one batch, where the vendor sells that at half the price and nobody waits: hours instead of seconds.

>>> import asyncio
>>> from meta_learning.llm import Message
>>> from meta_learning.llm.scripted import ScriptedBatches, ScriptedLLM
>>> batches = ScriptedBatches(lambda request: "yes", polls_count=0)
>>> llm = BatchingLLM(ScriptedLLM(lambda request: "no"), batches, BatchBook(), Terms(count_min=2))
>>> async def ask(count):
...     return [one.text for one in await asyncio.gather(*(llm.complete(Request((Message("user", str(n)),))) for n in range(count)))]
>>> asyncio.run(ask(1)), asyncio.run(ask(3)), len(batches.submitted)
(['no'], ['yes', 'yes', 'yes'], 1)
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable, MetaLearningError
from meta_learning.llm import LLM, Capabilities, Reply, Request
from meta_learning.llm.batch_book import BatchBook, Intent
from meta_learning.llm.batch_port import Answers, Batches, Failed
from meta_learning.llm.batch_waiting import found, waited
from meta_learning.llm.unsent import nothing_sent

log = logging.getLogger("meta_learning.batching")
# Smaller ones are asked directly: what a batch saves there is not worth its hours. The last rung of a run of 500 calls has 38.
COUNT_MIN = 30
# The most that both vendors take in one batch is 50,000 and more; a rung has hundreds.
AT_ONCE_MAX = 10_000
GATHER_S = 0.05


@dataclass(frozen=True, slots=True)
class Terms:
    """From how many questions on a batch is sent, and how long it is waited for; None as long as the vendor works on it.

    ``settle_s``: so long after a sending that was cut off it may not be in the vendor's list yet.
    ``at_once``: calls outside of batches on their way at once; None as many as the model stands.
    """

    count_min: int = COUNT_MIN
    wait_s_max: float | None = None
    settle_s: float = 10.0
    at_once: int | None = None

    @classmethod
    def within(
        cls, seconds: float | None, at_once: int | None = None, incumbents_count: int = 1, calls_each: int = 1
    ) -> Terms:
        """For a run that is capped at ``seconds``: a decision waits for a batch for each prompt in use and for one
        finalist, each after another for its judgements where ``calls_each`` is two, and has a third of the time.

        >>> Terms.within(600.0).wait_s_max, Terms.within(None).wait_s_max
        (100.0, None)
        """
        return cls(
            wait_s_max=None if seconds is None else seconds / 3 / (1 + incumbents_count) / calls_each, at_once=at_once
        )


class BatchingLLM:
    """``llm``, whose questions, and judgements of their answers, go out as a batch where ``terms.count_min`` or more come at once.

    Each has been reserved by whoever calls `complete`, and gets its own reply or error. A batch that comes to nothing says
    nothing about its questions: they are asked one by one, as are those that it did not come to in time, and those of which the
    vendor refused a parameter, which goes out no more.
    """

    def __init__(
        self,
        llm: LLM,
        batches: Batches,
        book: BatchBook,
        terms: Terms = Terms(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.provider, self.model = llm.provider, llm.model
        self._llm, self._batches, self._book, self._terms, self._clock = llm, batches, book, terms, clock
        self._at_once = max(1, terms.at_once or llm.capabilities.concurrency_max)
        self.capabilities = self._able()
        self._room = asyncio.Semaphore(self._at_once)
        self._gathering: dict[str, Request] = {}
        self._sent: asyncio.Task[str | None] | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._waited_for: set[str] = set()
        self._doubted: set[str] = set()
        self._is_refused = False

    async def complete(self, request: Request) -> Reply:
        """One attempt, alone or in a batch."""
        if request.purpose not in ("task", "judge"):
            return await self._alone(request)
        digest = request.digest(self.provider, self.model)
        with nothing_sent():  # but for the batch, which the book knows: a later life fetches it, and counts it then
            batch_id = await self._batch_of(digest, request)
            reply = await self._from_batch(batch_id, digest, request) if batch_id is not None else None
        return reply or await self._alone(request)

    async def call_off(self) -> None:
        """Call off every batch that is waited for: nobody wants its answers any more. What is ready stays to be fetched."""
        for batch_id in self._waited_for:
            with suppress(MetaLearningError):  # it is a matter of money, not of the run
                await self._batches.cancel(batch_id)

    async def close(self) -> None:
        """Give up waiting; what was sent stays sent. Close the model within."""
        for task in (self._sent, *self._tasks.values()):
            if task is not None:
                task.cancel()
        await self._llm.close()

    def _able(self) -> Capabilities:
        can, wait_s = self._llm.capabilities, self._terms.wait_s_max
        extras = {**can.extras, "concurrency_sure": str(self._at_once), "batch_wait_s": str(wait_s or 0.0)}
        return replace(can, concurrency_max=AT_ONCE_MAX, extras=extras)

    async def _alone(self, request: Request) -> Reply:
        with nothing_sent():
            await self._room.acquire()
        try:
            reply = await self._llm.complete(request)
        finally:
            self._room.release()
        self.capabilities = self._able()  # some are only learnt by asking
        return reply

    async def _from_batch(self, batch_id: str, digest: str, request: Request) -> Reply | None:
        """The reply out of a batch; None where it was not asked there."""
        try:
            answers = await self._shared(f"answers of {batch_id}", lambda: self._wait_for(batch_id))
            reply = (
                None if isinstance(answers, Failed) or digest not in answers else self._read(answers[digest], request)
            )
        except ConfigurationError:
            raise  # the key, say: with another one the batch can still be fetched
        except MetaLearningError:
            self._book.forget(digest)
            raise
        if reply is None:
            self._book.forget(digest)
        return reply

    def _read(self, answer: Any, request: Request) -> Reply | None:
        reply = self._batches.read(answer, request)
        return None if reply is None else replace(reply, batched=True)

    async def _batch_of(self, digest: str, request: Request) -> str | None:
        """The batch that a question went out in, in this life or an earlier one, or goes out in now; None for none."""
        intent = self._book.intent_of(digest)
        if intent is not None:
            await self._shared(f"search for {intent.name}", lambda: self._look_for(intent))
        return self._book.batch_of(digest) or await self._batch_with_others(digest, request)

    async def _look_for(self, intent: Intent) -> None:
        """Settle whether a sending that was cut off was taken: then it is paid for, and must not go out again."""
        batch_id = await self._found(intent)
        wait_s = min(self._terms.settle_s, intent.at + self._terms.settle_s - self._clock())
        if batch_id is None and wait_s > 0.0:
            await asyncio.sleep(wait_s)
            batch_id = await self._found(intent)
        if batch_id is None:
            self._book.drop(intent)
        else:
            self._book.note(batch_id, intent.digests, intent.name)

    async def _found(self, intent: Intent) -> str | None:
        """Waited for once in a life: who asks again after that hears at once that nobody can say yet."""
        limit_s = 0.0 if intent.name in self._doubted else self._terms.wait_s_max
        try:
            return await found(self._batches, intent, self._book.batches, limit_s)
        except TimeoutError as error:
            self._doubted.add(intent.name)
            raise LLMUnavailable(str(error)) from None

    async def _batch_with_others(self, digest: str, request: Request) -> str | None:
        """The batch that this question went out in together with those that came at the same time; None if they are too few."""
        self._gathering[digest] = request
        if self._sent is None:
            self._sent = asyncio.create_task(self._send(), name="batch")
        # One caller that is cancelled must not take the others' batch along.
        return await asyncio.shield(self._sent)

    async def _send(self) -> str | None:
        count = 0
        while len(self._gathering) > count:
            count = len(self._gathering)
            await asyncio.sleep(GATHER_S)
        requests, self._gathering, self._sent = self._gathering, {}, None
        if len(requests) < self._terms.count_min or self._is_refused:
            return None
        intent = Intent(uuid.uuid4().hex, self._clock(), tuple(requests))
        self._book.intend(intent)
        try:
            sent = await self._batches.submit(intent.name, requests)
        except CallerError:
            self._book.drop(intent)
            raise
        if isinstance(sent, Failed):
            self._book.drop(intent)
            self._note_failed("that was to be sent", sent)
            return None
        self._book.note(sent, requests, intent.name)
        return sent

    def _note_failed(self, batch_id: str, failed: Failed) -> None:
        # What is refused now will be refused again: the next rung need not wait for that.
        self._is_refused |= not failed.passing
        log.warning(
            "a batch came to nothing: its questions are asked one by one",
            extra={"batch": batch_id, "reason": failed.reason},
        )

    async def _shared(self, name: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """One task for all who wait for the same thing; begun anew after an outage."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(work(), name=name)
        try:
            return await asyncio.shield(self._tasks[name])
        except LLMUnavailable:
            self._tasks.pop(name, None)
            raise

    async def _wait_for(self, batch_id: str) -> Answers | Failed:
        self._waited_for.add(batch_id)
        brought = await waited(self._batches, batch_id, self._terms.wait_s_max)
        self._waited_for.discard(batch_id)
        if isinstance(brought, Failed):
            self._note_failed(batch_id, brought)
        return brought
