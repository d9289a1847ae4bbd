"""Entries as they lie in a stream: three fields, of which only ``body`` is promised.

>>> entry_from("feedback", b"5-0", [b"type", b"FeedbackReceived", b"body", b"{}"])
Entry(stream='feedback', id='5-0', body=b'{}', type='FeedbackReceived', traceparent=None)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meta_learning.errors import CallerError
from meta_learning.events import Event
from meta_learning.streams import DeadLetter, Entry, StreamName


def type_of(event: Event) -> str:
    """The event's ``type``: what discriminates it on the wire."""
    return str(getattr(event, "type", type(event).__name__))


def fields_of(flat: Sequence[bytes] | Mapping[bytes, bytes]) -> dict[str, bytes]:
    """A stream entry's fields by name, from either shape in which a client hands them out."""
    pairs = flat.items() if isinstance(flat, Mapping) else zip(flat[::2], flat[1::2], strict=True)
    return {text(name): value for name, value in pairs}


def text(raw: bytes | str) -> str:
    """``raw`` as text; bytes that are no UTF-8 (somebody else's) are kept readable instead of failing."""
    return raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")


def entry_from(stream: StreamName, entry_id: bytes | str, raw: Sequence[bytes] | Mapping[bytes, bytes]) -> Entry:
    """One entry out of a reply. An entry without a body of ours has an empty one, which no event decodes from."""
    fields = fields_of(raw)
    return Entry(
        stream=stream,
        id=text(entry_id),
        body=fields.get("body", b""),
        type=text(fields.get("type", b"")),
        traceparent=text(fields["traceparent"]) if fields.get("traceparent") else None,
    )


def dead_letter_from(partition: int, dead_id: bytes | str, raw: Sequence[bytes] | Mapping[bytes, bytes]) -> DeadLetter:
    """One dead letter out of the partition's stream of them; its id says where to find it: ``3/1700000000000-0``."""
    fields = fields_of(raw)
    stream: StreamName = "events" if fields["stream"] == b"events" else "feedback"
    return DeadLetter(
        id=f"{partition}/{text(dead_id)}",
        source=entry_from(stream, fields["id"], raw),
        reason=text(fields["reason"]),
        role=text(fields["role"]),
        parked_at_ms=int(text(dead_id).partition("-")[0]),
    )


def checked_offset(offset: str) -> str:
    """``offset`` in full, ``ms-seq``.

    Raises:
        CallerError: it is no entry id.

    >>> checked_offset("5")
    '5-0'
    """
    milliseconds, dash, sequence = offset.partition("-")
    if not all(part.isascii() and part.isdigit() for part in (milliseconds, sequence if dash else "0")):
        raise CallerError(f"{offset!r} is no entry id: they look like 1700000000000-0")
    return f"{milliseconds}-{sequence or 0}"


def located(dead_letter_id: str) -> tuple[int, str]:
    """A dead letter's id as (partition, id there); (-1, "") when it cannot be one of ours.

    >>> located("3/17-0"), located("nonsense")
    ((3, '17-0'), (-1, ''))
    """
    partition, _, dead_id = dead_letter_id.partition("/")
    milliseconds, _, sequence = dead_id.partition("-")
    whole = all(part.isascii() and part.isdigit() for part in (partition, milliseconds, sequence))
    return (int(partition), dead_id) if whole else (-1, "")
