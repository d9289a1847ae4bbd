"""Many questions as one batch, where the vendor sells that at half the price and nobody waits: hours instead of seconds.

>>> import asyncio
>>> from meta_learning.llm import Message
>>> from meta_learning.llm.scripted import ScriptedBatches, ScriptedLLM
>>> batches = ScriptedBatches(lambda request: "yes", polls_count=0)
>>> llm = BatchingLLM(ScriptedLLM(lambda request: "no"), batches, BatchBook(), count_min=2)
>>> async def ask(count):
...     return [one.text for one in await asyncio.gather(*(llm.complete(Request((Message("user", str(n)),))) for n in range(count)))]
>>> asyncio.run(ask(1)), asyncio.run(ask(3)), len(batches.submitted)
(['no'], ['yes', 'yes', 'yes'], 1)
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from meta_learning.errors import CallerError, LLMUnavailable, MetaLearningError
from meta_learning.llm import LLM, Reply, Request

# Smaller ones are asked directly: what a batch saves there is not worth its hours. A rung of 48, some of which are known already.
COUNT_MIN = 40
# The most that both vendors take in one batch is 50,000 and more; a rung has hundreds.
AT_ONCE_MAX = 10_000
GATHER_S = 0.05
POLL_S_FIRST, POLL_S_MAX = 0.5, 60.0
# Looks in a row at a vendor that does not say how a batch stands; each may take the time of a whole time-out.
LOOKS_FAILED_MAX = 20
Answers = Mapping[str, Any]


class Batches(Protocol):
    """A vendor's batch endpoint. Adapters: `meta_learning.llm.batches`; the fake is `scripted.ScriptedBatches`."""

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Send the requests by their digests; the batch's id.

        Raises:
            LLMUnavailable, ConfigurationError, CallerError: it was not taken.
        """

    async def answers(self, batch_id: str) -> Answers | None:
        """What came back by digest, as the vendor says it; None while the batch is worked on.

        Raises:
            LLMUnavailable: the vendor does not say; ask again.
            CallerError: the whole batch was refused.
        """

    def read(self, answer: Any, request: Request) -> Reply:
        """The reply to one request.

        Raises:
            LLMUnavailable, CallerError: this request failed in its batch.
        """


class BatchBook:
    """Which question went out in which batch, on disk where a ``path`` is given: a killed run fetches what it has paid for."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._batch_of: dict[str, str] = {}
        for line in _whole_lines(path) if path is not None and path.exists() else ():
            said = json.loads(line)
            self._batch_of |= dict.fromkeys(said["digests"], said["batch"])

    def note(self, batch_id: str, digests: Sequence[str]) -> None:
        """Write down a batch that was taken."""
        self._batch_of |= dict.fromkeys(digests, batch_id)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps({"batch": batch_id, "digests": list(digests)}) + "\n")

    def batch_of(self, digest: str) -> str | None:
        """The batch in which a question is on its way or answered."""
        return self._batch_of.get(digest)

    def forget(self, digest: str) -> None:
        """Its batch brought nothing for it: it may go out again."""
        self._batch_of.pop(digest, None)


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of a file. Half a line that its writer was killed in is cut off, or the next one would be written behind it."""
    said = path.read_bytes()
    whole = said[: said.rfind(b"\n") + 1]
    if len(whole) < len(said):
        os.truncate(path, len(whole))
    return whole.splitlines()


class BatchingLLM:
    """``llm``, whose questions of purpose task go out as a batch where ``count_min`` or more come at once.

    Each has been reserved by whoever calls `complete`, and gets its own reply or error. Prices stay those of single calls: an
    upper bound, until the table knows what a batch costs.
    """

    def __init__(self, llm: LLM, batches: Batches, book: BatchBook, *, count_min: int = COUNT_MIN) -> None:
        self.provider, self.model = llm.provider, llm.model
        self.capabilities = replace(llm.capabilities, concurrency_max=AT_ONCE_MAX)
        self._llm, self._batches, self._book = llm, batches, book
        self._count_min = count_min
        self._room = asyncio.Semaphore(max(1, llm.capabilities.concurrency_max))
        self._gathering: dict[str, Request] = {}
        self._sent: asyncio.Task[str | None] | None = None
        self._answered: dict[str, asyncio.Task[Answers]] = {}

    async def complete(self, request: Request) -> Reply:
        """One attempt, alone or in a batch."""
        if request.purpose != "task":
            return await self._alone(request)
        digest = request.digest(self.provider, self.model)
        batch_id = self._book.batch_of(digest) or await self._batch_with_others(digest, request)
        if batch_id is None:
            return await self._alone(request)
        try:
            answers = await self._answers(batch_id)
        except CallerError:
            # The whole batch was refused, or the vendor keeps it no longer: it never brings an answer.
            self._book.forget(digest)
            raise
        try:
            if digest not in answers:
                raise LLMUnavailable(f"batch {batch_id} came back without an answer to this question")
            return self._batches.read(answers[digest], request)
        except MetaLearningError:
            self._book.forget(digest)
            raise

    async def close(self) -> None:
        """Give up waiting; what was sent stays sent. Close the model within."""
        for task in (self._sent, *self._answered.values()):
            if task is not None:
                task.cancel()
        await self._llm.close()

    async def _alone(self, request: Request) -> Reply:
        async with self._room:
            return await self._llm.complete(request)

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
        if len(requests) < self._count_min:
            return None
        batch_id = await self._batches.submit(requests)
        self._book.note(batch_id, list(requests))
        return batch_id

    async def _answers(self, batch_id: str) -> Answers:
        if batch_id not in self._answered:
            self._answered[batch_id] = asyncio.create_task(self._wait_for(batch_id), name=f"batch {batch_id}")
        try:
            return await asyncio.shield(self._answered[batch_id])
        except LLMUnavailable:
            self._answered.pop(batch_id, None)
            raise

    async def _wait_for(self, batch_id: str) -> Answers:
        wait_s, failed_count = POLL_S_FIRST, 0
        while True:
            try:
                found, failed_count = await self._batches.answers(batch_id), 0
            except LLMUnavailable:
                found, failed_count = None, failed_count + 1
                if failed_count >= LOOKS_FAILED_MAX:
                    raise
            if found is not None:
                return found
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, POLL_S_MAX)
