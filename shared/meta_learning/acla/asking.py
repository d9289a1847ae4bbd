"""How a run asks: counted, capped, cancellable, and never the same question twice."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from meta_learning.acla.store import RunLog
from meta_learning.errors import BudgetExhausted, CallerError, Cancelled
from meta_learning.llm import LLM, Reply, Request

_T = TypeVar("_T")


def stream(seed: int, *keys: object) -> random.Random:
    """A random stream of its own for (seed, step, purpose): what one step draws never shifts what another one does.

    >>> stream(1, "split").random() == stream(1, "split").random() != stream(2, "split").random()
    True
    """
    named = "\x1f".join(map(str, (seed, *keys)))
    return random.Random(int.from_bytes(hashlib.sha256(named.encode()).digest()[:8]))


class Asking:
    """Puts requests to ``llm`` (metered, over the run's log) and counts the distinct ones.

    The count includes answers that a resumed run finds in its log, so that a resumed run plans as the unbroken one did; for
    the same reason retries are counted when their request is, not when they were made. ``calls_each``: what a question takes, two
    where each answer is judged; what is left and what fits are told in questions.
    """

    def __init__(
        self, llm: LLM, log: RunLog, calls_max: int | None, should_stop: Callable[[], bool], calls_each: int = 1
    ) -> None:
        self.llm = llm
        self.calls_each = calls_each
        self._log = log
        self.calls_count = 0
        self.retries_count = 0
        self.calls_max = calls_max
        self._should_stop = should_stop
        self._asked: set[str] = set()
        self._room = asyncio.Semaphore(max(1, llm.capabilities.concurrency_max))

    @property
    def calls_left(self) -> int | None:
        """Questions that surely fit under the cap with what retries at the rate so far would add to them; None without a cap."""
        if self.calls_max is None:
            return None
        room, rate = (
            self.calls_max - self.calls_count - self.retries_count,
            self.retries_count / max(1, self.calls_count),
        )
        # Twice the standard deviation: retries of so many calls may well be more than their mean.
        return max(0, int((room - 2.0 * math.sqrt(max(0, room) * rate)) / (1.0 + rate))) // self.calls_each

    def affords(self, count: int, kept: int = 0) -> bool:
        """Whether ``count`` more questions leave room for ``kept``, and for what retries at the rate so far would add to those."""
        return self._fits(count * self.calls_each, kept * self.calls_each)

    def _fits(self, count: int, kept: int = 0) -> bool:
        if self.calls_max is None:
            return True
        kept_with_retries = math.ceil(kept * (1.0 + self.retries_count / max(1, self.calls_count)))
        return self.calls_count + self.retries_count + count <= self.calls_max - kept_with_retries

    def spend(self, count: int) -> None:
        """Count calls that somebody else makes for this run.

        Raises:
            Cancelled: the run was asked to stop.
            BudgetExhausted: the cap would be exceeded.
        """
        if self._should_stop():
            raise Cancelled("the run was asked to stop; it can be resumed")
        if not self._fits(count):
            raise BudgetExhausted(f"the cap of {self.calls_max} calls is reached")
        self.calls_count += count

    async def ask(self, request: Request) -> Reply:
        """One reply.

        Raises:
            Cancelled, BudgetExhausted: before the call.
            LLMUnavailable: after all retries; the run can be resumed.
        """
        async with self._room:
            digest = request.digest(self.llm.provider, self.llm.model)
            is_new = self._count(digest)
            reply = await self.llm.complete(request)
        if is_new:
            self.retries_count += self._log.retries(digest)
        return reply

    async def ask_all(self, requests: Sequence[Request]) -> list[Reply | CallerError]:
        """Replies in the order of the requests; a request that the model refuses gives its error, nothing else is swallowed."""
        tasks = [asyncio.ensure_future(self._ask_or_refusal(request)) for request in requests]
        try:
            return list(await asyncio.gather(*tasks))
        except (Cancelled, BudgetExhausted):
            # Whatever is on its way is paid for: its answer is recorded. Those that wait for room are refused in the same way.
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _ask_or_refusal(self, request: Request) -> Reply | CallerError:
        digest = request.digest(self.llm.provider, self.llm.model)
        reason = self._log.refusal(digest)
        if reason is not None:
            self._count(digest)
            return CallerError(reason)
        try:
            return await self.ask(request)
        except CallerError as error:
            # Its subclasses are about the key or the model: they would fail for every item.
            if type(error) is not CallerError:
                raise
            self._log.put_refusal(digest, str(error))
            return error

    def _count(self, digest: str) -> bool:
        """Count a request, unless it was asked before."""
        if digest in self._asked:
            return False
        self.spend(1)
        self._asked.add(digest)
        return True
