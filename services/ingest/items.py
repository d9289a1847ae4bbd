"""From the bytes of a request to events: what a producer may leave out, and what is wrong with what it sent.

A name that the event does not have is not stored, and the answer lists it under ``ignored``: a newer producer keeps
working, a misspelt field is seen. Where one object holds a name twice, the last one counts (as in Python and JavaScript).

>>> read_single(b'{"loop": "support", "input_text": "Hi", "output_text": "Hello", "feedback_score": 2}').detail
'feedback_score: Input should be less than or equal to 1'
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import from_json

from meta_learning.events import EventId, FeedbackReceived, Time, describe

IGNORED_COUNT_MAX = 10
BOM = b"\xef\xbb\xbf"


class Offered(FeedbackReceived):
    """Feedback as a producer sends it: the event, but ``event_id`` and ``occurred_at`` may be left to the server."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    event_id: EventId = Field(default_factory=lambda: uuid.uuid4().hex)
    occurred_at: Time = Field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Reading:
    """One good item: the event to take, and the names that were sent but mean nothing."""

    event: FeedbackReceived
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One bad item: a sentence, and the field that it is about; ``malformed`` when it is no JSON at all."""

    detail: str
    field: str | None = None
    malformed: bool = False


def read_single(body: bytes) -> Reading | Fault:
    """Read one JSON object."""
    return _read(Offered.model_validate_json, body)


def read_array(body: bytes) -> list[Any]:
    """The elements of a JSON array, not looked at yet.

    Raises:
        ValueError: the bytes are no JSON, or no array.
    """
    # NaN passes here so that the item's own reading can name item and field, instead of refusing the whole array.
    elements = from_json(body.removeprefix(BOM), allow_inf_nan=True)
    if not isinstance(elements, list):
        raise ValueError("a batch is a JSON array of objects, or NDJSON (application/x-ndjson)")
    return elements


def read_element(element: Any) -> Reading | Fault:
    """Read one element of a JSON array."""
    return _read(Offered.model_validate, element)


def split_lines(body: bytes) -> list[bytes]:
    """The lines of an NDJSON body; empty ones do not count."""
    return [line for line in body.removeprefix(BOM).split(b"\n") if line and not line.isspace()]


def read_line(line: bytes, bytes_max: int) -> Reading | Fault:
    """Read one line of NDJSON."""
    if len(line) > bytes_max:
        return Fault(f"the line is {len(line)} bytes; at most {bytes_max} are accepted")
    return read_single(line)


def _read(validate: Callable[[Any], Offered], source: Any) -> Reading | Fault:
    try:
        offered = validate(source)
    except ValidationError as error:
        detail, field = describe(error)
        malformed = error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid"
        return Fault(detail, field, malformed)
    return _without_extras(offered) if offered.model_extra else Reading(offered)


def _without_extras(offered: Offered) -> Reading | Fault:
    extras = offered.model_extra or {}
    names = sorted(extras)
    try:
        json.dumps(extras, allow_nan=False)
    except ValueError:
        return Fault("NaN and Infinity are not JSON", names[0])
    event = FeedbackReceived.model_construct(**{name: getattr(offered, name) for name in FeedbackReceived.model_fields})
    return Reading(event, tuple(name[:64] for name in names[:IGNORED_COUNT_MAX]))


def chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    """``items`` in lists of at most ``size``.

    >>> list(chunks([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    return (items[start : start + size] for start in range(0, len(items), size))
