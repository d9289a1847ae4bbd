"""Waiting for a batch: as long as the vendor works on it, or up to a limit, after which it is called off if it is one's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from meta_learning.errors import CallerError, LLMUnavailable
from meta_learning.llm.batch_book import Intent
from meta_learning.llm.batch_port import Answers, Batches, Failed, Unsure

_T = TypeVar("_T")
log = logging.getLogger("meta_learning.batching")
POLL_S_FIRST, POLL_S_MAX = 0.5, 60.0
# Looks in a row at a vendor that does not say how a batch stands; each may take the time of a whole time-out.
LOOKS_FAILED_MAX = 20
# What a batch that was called off gets to bring what is ready.
CANCEL_S = 120.0


async def waited(batches: Batches, batch_id: str, limit_s: float | None) -> Answers | Failed:
    """What a batch brought; after ``limit_s`` what was ready when it was called off.

    Raises:
        LLMUnavailable: the vendor does not say, or goes on; it may bill what was asked.
    """
    try:
        return await _waited(batches, batch_id, limit_s)
    except LLMUnavailable as error:
        raise LLMUnavailable(str(error), error.retry_after_s, billed=True) from error


async def _waited(batches: Batches, batch_id: str, limit_s: float | None) -> Answers | Failed:
    try:
        async with asyncio.timeout(limit_s):
            return await _polled(batches, batch_id)
    except TimeoutError:
        log.warning("a batch is called off", extra={"batch": batch_id, "waited_s": limit_s})
    await _called_off(batches, batch_id)
    try:
        async with asyncio.timeout(CANCEL_S):
            return await _polled(batches, batch_id)
    except TimeoutError:
        raise LLMUnavailable(f"batch {batch_id} came neither in time nor when it was called off") from None


async def _called_off(batches: Batches, batch_id: str) -> None:
    try:
        await batches.cancel(batch_id)
    except CallerError as error:
        # It may have ended a moment ago: its answers will say so.
        log.info("a batch could not be called off", extra={"batch": batch_id, "reason": str(error)})


async def found(batches: Batches, intent: Intent, known: Collection[str], limit_s: float | None) -> str | None:
    """The batch that was taken under ``intent``, if one was.

    Raises:
        LLMUnavailable: the vendor does not say.
        TimeoutError: it cannot be said within ``limit_s``. Its questions must not go out again: they may have been paid for.
    """
    first = await batches.find(intent, known)
    if not isinstance(first, Unsure):
        return first

    async def look() -> tuple[str | None] | None:
        one = await batches.find(intent, known)
        return None if isinstance(one, Unsure) else (one,)

    log.info("batches of the same size and time are waited for", extra={"batches": first.batch_ids})
    try:
        async with asyncio.timeout(limit_s):
            (settled,) = await _looked(look)
    except TimeoutError:
        # It may be another program's: nothing is called off.
        doubt = f"whether batch {' or '.join(first.batch_ids)} is this run's is not known before it ends"
        raise TimeoutError(f"{doubt}; its questions do not go out again before that") from None
    return settled


async def _polled(batches: Batches, batch_id: str) -> Answers | Failed:
    return await _looked(lambda: batches.answers(batch_id))


async def _looked(look: Callable[[], Awaitable[_T | None]]) -> _T:
    """What there is as soon as there is something."""
    wait_s, failed_count = POLL_S_FIRST, 0
    while True:
        try:
            there, failed_count = await look(), 0
        except LLMUnavailable:
            there, failed_count = None, failed_count + 1
            if failed_count >= LOOKS_FAILED_MAX:
                raise
        if there is not None:
            return there
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, POLL_S_MAX)
