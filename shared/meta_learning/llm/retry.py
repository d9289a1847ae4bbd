"""Our own retry loop, in place of the SDKs' hidden ones, so that every attempt is counted."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from meta_learning.errors import LLMUnavailable, ParameterRefused

_T = TypeVar("_T")
# Each of several processes with an adapter of its own may have to hear of each of four parameters once.
REFUSED_MAX = 20


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Up to ``attempts_max`` attempts, waiting twice as long each time, between ``wait_s_first`` and ``wait_s_max``.

    What a server asks for by ``Retry-After`` is waited for, up to ``retry_after_s_max``; if it asks for more, we give up.
    """

    attempts_max: int = 5
    wait_s_first: float = 0.5
    wait_s_max: float = 30.0
    retry_after_s_max: float = 120.0

    @classmethod
    def within(cls, wait_s: float) -> RetryPolicy:
        """Waits of 0.5, 1, 2, 4, … up to 10 s that add up to at most ``wait_s``; a server that asks for more is left alone.

        >>> RetryPolicy.within(0).attempts_max, RetryPolicy.within(7.5).attempts_max
        (1, 5)
        """
        attempts, waited, wait = 1, 0.0, 0.5
        while waited + wait <= wait_s:
            attempts, waited, wait = attempts + 1, waited + wait, min(2 * wait, 10.0)
        return cls(attempts_max=attempts, wait_s_first=0.5, wait_s_max=10.0, retry_after_s_max=wait_s)

    def wait_s(self, attempt: int, error: LLMUnavailable, chance: float) -> float | None:
        """Seconds to wait after failed attempt number ``attempt`` (from 1), None to give up; ``chance`` in [0, 1) spreads callers.

        >>> RetryPolicy().wait_s(3, LLMUnavailable("busy"), chance=0.0)
        1.0
        >>> RetryPolicy().wait_s(1, LLMUnavailable("busy", retry_after_s=7.0), chance=0.5)
        7.0
        """
        if attempt >= self.attempts_max:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= self.retry_after_s_max else None
        longest = min(self.wait_s_max, self.wait_s_first * 2.0 ** (attempt - 1))
        return longest * (0.5 + 0.5 * chance)


class Retrying:
    """Runs an attempt until it succeeds, fails for good, or ``policy`` gives up. Sleep, chance and clock are passed in.

    Once a server has named a wait (``Retry-After``), no attempt begins before it is over, whoever was told: the limit is the
    account's, and attempts that are sure to be refused would be calls all the same. After a refused parameter it is tried again
    at once, and that is none of the policy's attempts: it says nothing about an outage.
    """

    def __init__(
        self,
        policy: RetryPolicy = RetryPolicy(),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policy = policy
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._clock = clock
        self._quiet_until = float("-inf")

    async def run(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """The first success.

        Raises:
            LLMUnavailable: the last attempt's, after all attempts; errors of other kinds pass at once.
        """
        count = refused_count = 0
        while True:
            if count == 0 and (quiet_s := self._quiet_until - self._clock()) > 0.0:
                await self._sleep(quiet_s)
            try:
                return await attempt()
            except ParameterRefused:
                refused_count += 1
                if refused_count == REFUSED_MAX:
                    raise
            except LLMUnavailable as error:
                count += 1
                wait_s = self.policy.wait_s(count, error, self._rng.random())
                if wait_s is None:
                    raise LLMUnavailable(f"{error}; gave up after {count} attempts", error.retry_after_s) from error
                if error.retry_after_s is not None:
                    self._quiet_until = max(self._quiet_until, self._clock() + wait_s)
                await self._sleep(wait_s)
