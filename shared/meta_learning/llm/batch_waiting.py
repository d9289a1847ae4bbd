"""Waiting for a batch: as long as the vendor works on it, or up to a limit, after which it is called off."""

from __future__ import annotations

import asyncio
import logging

from meta_learning.errors import CallerError, LLMUnavailable
from meta_learning.llm.batch_port import Answers, Batches, Failed

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


async def _polled(batches: Batches, batch_id: str) -> Answers | Failed:
    wait_s, failed_count = POLL_S_FIRST, 0
    while True:
        try:
            found, failed_count = await batches.answers(batch_id), 0
        except LLMUnavailable:
            found, failed_count = None, failed_count + 1
            if failed_count >= LOOKS_FAILED_MAX:
                raise
        if found is not None:
            return found
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, POLL_S_MAX)
