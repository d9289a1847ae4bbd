"""Group commit: single items that arrive together, or while an append is under way, go to the broker in one append.

Under load this turns thousands of round trips into some dozens; an idle door adds no wait, for an item that comes alone
is sent in the same turn of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from itertools import groupby

from meta_learning.errors import BackPressure, MetaLearningError
from meta_learning.events import FeedbackReceived
from meta_learning.streams import Receipt
from services.ingest.broker import Broker
from services.ingest.metrics import IngestMetrics

log = logging.getLogger("ingest.gathering")


@dataclass(slots=True)
class _Waiting:
    event: FeedbackReceived
    traceparent: str | None
    receipt: asyncio.Future[Receipt]


class Gathering:
    """Collects single items; one append of at most ``append_items_max`` is under way at a time."""

    def __init__(self, broker: Broker, metrics: IngestMetrics, append_items_max: int, waiting_count_max: int) -> None:
        self._broker = broker
        self._append_items_max = append_items_max
        self._waiting_count_max = waiting_count_max
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None
        metrics.waiting.set_function(lambda: len(self._waiting))

    async def append(self, event: FeedbackReceived, traceparent: str | None = None) -> Receipt:
        """Take one item; returns when the broker has answered for it.

        Raises:
            BackPressure: too many wait already.
            BrokerUnavailable: it is unknown whether it was taken; the same id may be sent again.
        """
        if len(self._waiting) >= self._waiting_count_max:
            raise BackPressure("too many items wait for the broker", retry_after_s=1.0)
        waiting = _Waiting(event, traceparent, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return await waiting.receipt

    async def close(self) -> None:
        """Wait until everything that was taken in has its answer."""
        if self._sender is not None:
            await self._sender

    async def _send(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), self._append_items_max)
            group = [self._waiting.popleft() for _ in range(size)]
            # The port takes one trace an append: traced requests lie in appends of their own, side by side.
            await asyncio.gather(
                *(self._send_group(list(items)) for _, items in groupby(group, key=lambda item: item.traceparent))
            )

    async def _send_group(self, group: list[_Waiting]) -> None:
        try:
            receipts = await self._broker.append([item.event for item in group], group[0].traceparent)
        except MetaLearningError as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever; its message may hold texts
            log.error("append failed", extra={"error": type(error).__name__})
            _fail(group, MetaLearningError("the append failed in an unforeseen way; the log has its kind"))
        else:
            for item, receipt in zip(group, receipts, strict=True):
                if not item.receipt.done():
                    item.receipt.set_result(receipt)


def _fail(group: list[_Waiting], error: MetaLearningError) -> None:
    for item in group:
        if not item.receipt.done():
            item.receipt.set_exception(error)
