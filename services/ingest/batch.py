"""The batch door's work: read, check and append a batch a chunk at a time, with an outcome for every item.

The event loop gets its turn between chunks, so a batch of ten thousand does not hold up the single door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from meta_learning.errors import BrokerUnavailable
from services.ingest.broker import Broker
from services.ingest.items import Fault, Reading, chunks
from services.ingest.outcomes import Promise, faulty_item, taken_item


@dataclass(slots=True)
class Outcomes:
    """One line an item, in order; ``broken_off`` says why the broker did not see the batch's end."""

    items: list[dict[str, Any]] = field(default_factory=list)
    broken_off: str | None = None


async def take_batch(
    broker: Broker,
    raw_items: list[Any],
    read: Callable[[Any], Reading | Fault],
    promise: Promise,
    append_items_max: int,
    traceparent: str | None,
) -> Outcomes:
    """Take the good items of a batch.

    When the broker fails midway, what it took before stays taken and is said, the chunk in its hands is ``unknown``, and
    the rest is ``not_sent``; sending everything again with the same ids is safe.
    """
    outcomes = Outcomes()
    for chunk in chunks(raw_items, append_items_max):
        readings = [read(item) for item in chunk]
        try:
            await _take(broker, readings, outcomes, promise, traceparent)
        except BrokerUnavailable as error:
            outcomes.broken_off = str(error)
            _say_unknown(readings, outcomes)
            break
        await asyncio.sleep(0)
    for index in range(len(outcomes.items), len(raw_items)):
        outcomes.items.append({"index": index, "event_id": None, "outcome": "not_sent"})
    return outcomes


async def _take(
    broker: Broker, readings: Sequence[Reading | Fault], outcomes: Outcomes, promise: Promise, traceparent: str | None
) -> None:
    good = [reading for reading in readings if isinstance(reading, Reading)]
    receipts = iter(await broker.append([reading.event for reading in good], traceparent) if good else ())
    for index, reading in enumerate(readings, start=len(outcomes.items)):
        if isinstance(reading, Fault):
            outcomes.items.append(faulty_item(index, reading))
        else:
            (receipt,) = islice(receipts, 1)
            outcomes.items.append(taken_item(index, reading, receipt, promise))


def _say_unknown(readings: Sequence[Reading | Fault], outcomes: Outcomes) -> None:
    for index, reading in enumerate(readings, start=len(outcomes.items)):
        if isinstance(reading, Fault):
            outcomes.items.append(faulty_item(index, reading))
        else:
            outcomes.items.append({"index": index, "event_id": reading.event.event_id, "outcome": "unknown"})
