"""What the broker's receipts become for the producer: a status, a sentence, and whether to send again.

============== ====== =================================================================================
outcome        single what the producer does
============== ====== =================================================================================
accepted       202    nothing
duplicate      200    nothing: it was taken before, ``entry_id`` says where
conflict       409    chooses another event_id: this one was used for other content
too_many_loops 422    uses an existing loop, or asks the operator for more (sending again does not help)
back_pressure  429    sends again after ``Retry-After``: nothing is dropped, readers must catch up first
invalid        4xx    mends the item: ``field`` and ``detail`` say where
unknown        503    sends again with the same event_id: the broker broke off while it was being taken
not_sent       503    sends again: the broker broke off before it
============== ====== =================================================================================

A batch answers 200 when every item was accepted or is a duplicate, 207 when some were, 422 (429 when back-pressure is
among the causes) when none was, and 503 when the broker broke off, with the outcome of each item in every case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meta_learning.streams import Receipt, Taken
from services.ingest.items import Fault, Reading

GOOD = frozenset({"accepted", "duplicate"})
STATUS = {
    Taken.ACCEPTED: 202,
    Taken.DUPLICATE: 200,
    Taken.CONFLICT: 409,
    Taken.TOO_MANY_LOOPS: 422,
    Taken.BACK_PRESSURE: 429,
}


@dataclass(frozen=True, slots=True)
class Promise:
    """What every good answer says beside its outcome, and when to come back after back-pressure."""

    identity_window_s: int
    durability: str
    loops_count_max: int
    retry_after_s: float

    def detail(self, taken: Taken) -> str | None:
        """A sentence for what was not taken."""
        match taken:
            case Taken.CONFLICT:
                return f"this event_id was used for other content within the last {self.identity_window_s} s"
            case Taken.TOO_MANY_LOOPS:
                return f"it would create a loop beyond the {self.loops_count_max} that may exist"
            case Taken.BACK_PRESSURE:
                return f"readers lag behind; send it again after {self.retry_after_s:g} s"
            case _:
                return None


def field_of(taken: Taken) -> str | None:
    """The field that the outcome is about."""
    return {Taken.CONFLICT: "event_id", Taken.TOO_MANY_LOOPS: "loop"}.get(taken)


def taken_item(index: int, reading: Reading, receipt: Receipt, promise: Promise) -> dict[str, Any]:
    """One line of a batch's answer for an item that the broker answered for."""
    item: dict[str, Any] = {"index": index, "event_id": reading.event.event_id, "outcome": receipt.taken.value}
    if receipt.entry_id is not None:
        item["entry_id"] = receipt.entry_id
    if reading.ignored:
        item["ignored"] = reading.ignored
    if (detail := promise.detail(receipt.taken)) is not None:
        item |= {"field": field_of(receipt.taken), "detail": detail}
    return item


def faulty_item(index: int, fault: Fault) -> dict[str, Any]:
    """One line of a batch's answer for an item that is no feedback."""
    return {"index": index, "event_id": None, "outcome": "invalid", "field": fault.field, "detail": fault.detail}


def batch_status(items: Sequence[dict[str, Any]]) -> int:
    """The status of a whole batch whose items all have an answer."""
    outcomes = {item["outcome"] for item in items}
    if outcomes <= GOOD:
        return 200
    if outcomes & GOOD:
        return 207
    return 429 if "back_pressure" in outcomes else 422
