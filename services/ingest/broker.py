"""The event log as this service sees it: every wait is bounded, every failure counted, and a broker that is not there
yet is asked again until it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from meta_learning.errors import BrokerUnavailable
from meta_learning.events import FeedbackReceived
from meta_learning.streams import Log, Receipt
from services.ingest.metrics import IngestMetrics

log = logging.getLogger("ingest.broker")
_T = TypeVar("_T")


class Broker:
    """What the doors need of a `Log`. Nothing here raises anything but `BrokerUnavailable` when the broker is away."""

    def __init__(self, event_log: Log, metrics: IngestMetrics, wait_s_max: float, backlog_count_max: int) -> None:
        self._log = event_log
        self._metrics = metrics
        self._wait_s_max = wait_s_max
        self._backlog_count_max = backlog_count_max
        self._started = False

    async def start(self) -> None:
        """Start the log; raises `BrokerUnavailable` or `ConfigurationError`."""
        await self._bounded(self._log.start())
        self._started = True

    async def start_when_possible(self, first_wait_s: float = 0.2) -> None:
        """Try `start` until the broker answers."""
        wait_s = first_wait_s
        while not self._started:
            try:
                await self.start()
            except BrokerUnavailable as error:
                log.warning("broker not there yet", extra={"reason": str(error), "next_try_s": wait_s})
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, 5.0)
        log.info("broker answers")

    async def close(self) -> None:
        """Close the log."""
        await self._log.close()

    async def append(self, events: Sequence[FeedbackReceived], traceparent: str | None = None) -> list[Receipt]:
        """`Log.append`, bounded in time; after a failure it is unknown which items were taken."""
        self._check_started()
        self._metrics.append_items.observe(len(events))
        started = time.perf_counter()
        receipts = await self._bounded(self._log.append(events, traceparent))
        self._metrics.append_seconds.observe(time.perf_counter() - started)
        return receipts

    async def pointer(self, loop: str, name: str) -> str | None:
        """`Log.pointer`, bounded in time."""
        self._check_started()
        return await self._bounded(self._log.pointer(loop, name))

    async def loops(self) -> list[str]:
        """`Log.loops`, bounded in time."""
        self._check_started()
        return await self._bounded(self._log.loops())

    async def check(self) -> None:
        """Raises `BrokerUnavailable` unless the broker answers and can write (for ``/readyz``)."""
        self._check_started()
        await self._bounded(self._log.ping())

    async def backlog(self) -> str | None:
        """A note for ``/readyz`` while feedback is pushed back.

        Not a failure: an instance taken out of service could not even say ``Retry-After``, nor answer prompts and rankings.
        """
        self._check_started()
        lags = await self._bounded(self._log.lags())
        most = max((lag.entries_count for lag in lags if lag.stream == "feedback"), default=0)
        return f"pushing back: a reader lags {most} entries behind" if most >= self._backlog_count_max else None

    def _check_started(self) -> None:
        if not self._started:
            raise BrokerUnavailable("the broker has not answered since this service started")

    async def _bounded(self, call: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._wait_s_max):
                result = await call
        except (BrokerUnavailable, TimeoutError) as error:
            self._metrics.broker_failures.inc()
            self._metrics.broker_up.set(0)
            if isinstance(error, BrokerUnavailable):
                raise
            raise BrokerUnavailable(f"the broker did not answer within {self._wait_s_max:g} s") from None
        self._metrics.broker_up.set(1)
        return result
