"""A model whose calls are made by several processes: the run's owner and its helpers, over the run's desk."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from redis.exceptions import RedisError

from meta_learning.errors import LLMUnavailable
from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.unsent import nothing_sent
from meta_learning.serving.ending import end
from services.evolver.asker import Asker
from services.evolver.desk import ASKING, Desk, Question, read

log = logging.getLogger("evolver.sharing")
SWEEP_S = 1.0


class SharedLLM:
    """``llm``, asked here and wherever helpers are. Enter it to begin; every question was reserved by whoever calls `complete`.

    ``token`` is the owner's lease. Calls of a process that died in the middle of them count as failed (they may have been billed),
    and the retry loop above reserves and asks again. ``replace_gone`` is called at every look after the desk.
    """

    def __init__(
        self,
        llm: LLM,
        desk: Desk,
        token: str,
        workers_count: int,
        ttl_s: float,
        replace_gone: Callable[[], Awaitable[None]],
    ) -> None:
        self.provider, self.model = llm.provider, llm.model
        can, own = llm.capabilities, max(1, llm.capabilities.concurrency_max)
        # Helpers may come or not: what must be ready in time is planned without them.
        extras = {**can.extras, "concurrency_sure": str(own)}
        self.capabilities = replace(can, concurrency_max=own * workers_count, extras=extras)
        self._llm, self._desk, self._token, self._replace_gone = llm, desk, token, replace_gone
        self._asker = Asker(desk, llm, f"owner-{token}", ttl_s)
        self._waiting: dict[str, tuple[Question, asyncio.Future[str]]] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._ending = False
        self._laid: set[str] = set()

    async def __aenter__(self) -> SharedLLM:
        self._tasks = [
            asyncio.create_task(self._asker.run(lambda: self._ending), name="owner asks"),
            asyncio.create_task(self._listen(), name="answers"),
            asyncio.create_task(self._sweep(), name="dead askers"),
        ]
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._ending = True
        await end(*self._tasks)

    async def complete(self, request: Request) -> Reply:
        """The reply, whoever asked for it: perhaps an earlier life of this run, which was killed before it could note it.

        Raises:
            LLMUnavailable: the model does not answer, or whoever asked it died, or the queue's Redis is away.
        """
        digest = request.digest(self.provider, self.model)
        question = Question(digest, self._token, request, uuid.uuid4().hex)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[digest] = (question, answer)
        try:
            # Whoever goes on with the run finds the question on the desk, and counts it there.
            with nothing_sent():
                said = await self._desk.put(question)
                self._laid.add(digest)
                if said is None or said.startswith(ASKING):
                    said = await self._heard(answer)
            found = read(said)
            if isinstance(found, Exception):
                await self._desk.withdraw(digest, said)
                raise found
            return found
        except RedisError as error:
            raise LLMUnavailable(f"the run's desk cannot be reached: {type(error).__name__}") from None
        finally:
            self._laid.discard(digest)
            self._waiting.pop(digest, None)

    async def close(self) -> None:
        """Close the model within."""
        await self._llm.close()

    async def _heard(self, answer: asyncio.Future[str]) -> str:
        """What comes in; the tasks that bring it do not end before the run, unless they fail."""
        await asyncio.wait({answer, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        failed = next(task for task in self._tasks if task.done())
        raise LLMUnavailable(f"nobody works at the run's desk: {failed.get_name()} ended") from _error_of(failed)

    async def _listen(self) -> None:
        while True:
            with suppress(RedisError):  # the sweep sees what was missed
                digest = await self._desk.told(wait_s=0.5)
                if digest in self._waiting:
                    self._hear(await self._desk.known([digest]))
                continue
            await asyncio.sleep(SWEEP_S)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._look_after(await self._desk.known([one for one in self._waiting if one in self._laid]))
                await self._replace_gone()
            except RedisError as error:
                log.warning("the run's desk cannot be reached", extra={"reason": type(error).__name__})

    async def _look_after(self, known: Mapping[str, str | None]) -> None:
        self._hear(known)
        for digest, said in known.items():
            if said is not None and said.startswith(ASKING) and not await self._desk.is_here(said[len(ASKING) :]):
                await self._bury(digest, said)
        if any(said is None for said in known.values()) and await self._desk.is_empty():
            for digest in (one for one, said in known.items() if said is None and one in self._laid):
                await self._lay_again(digest)

    async def _lay_again(self, digest: str) -> None:
        """Somebody took a question and died before it was his: it lies open again; twice does no harm, it is claimed once."""
        question, answer = self._waiting[digest]
        if not await self._desk.put_again(question) and digest in self._laid and not answer.done():
            answer.set_exception(
                LLMUnavailable("the broker lost the question: it may have been asked", retry_after_s=0.0, billed=True)
            )

    async def _bury(self, digest: str, said: str) -> None:
        if not await self._desk.withdraw(digest, said):
            return
        log.warning("a process died in the middle of a call", extra={"who": said[len(ASKING) :]})
        answer = self._waiting[digest][1] if digest in self._waiting else None
        if answer is not None and not answer.done():
            died = LLMUnavailable("the process that asked died in the middle", retry_after_s=0.0, billed=True)
            answer.set_exception(died)

    def _hear(self, known: Mapping[str, str | None]) -> None:
        for digest, said in known.items():
            answer = self._waiting[digest][1] if digest in self._waiting else None
            if said is not None and not said.startswith(ASKING) and answer is not None and not answer.done():
                answer.set_result(said)


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
