"""One piece of feedback as a file states it, before it becomes an event."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from meta_learning.datasets.columns import Columns
from meta_learning.datasets.scales import parse_score
from meta_learning.errors import MalformedDataset
from meta_learning.events import METADATA_BYTES_MAX, TEXT_BYTES_MAX


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """One piece of feedback from a file; ``row`` is the line it starts on."""

    row: int
    input_text: str
    output_text: str
    feedback_score: float
    user_id: str | None = None
    event_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def parse_row(record: dict[str, Any], columns: Columns, row: int) -> FeedbackRow:
    """Check one record of a file; the score stays on the file's own scale.

    >>> parse_row({"q": "2 + 2?", "a": "4", "stars": "5"}, Columns("q", "a", "stars"), row=2)
    FeedbackRow(row=2, input_text='2 + 2?', output_text='4', feedback_score=5.0, user_id=None, event_id=None, metadata={})

    Raises:
        MalformedDataset: a field is missing, no text, too long, or the score is no number.
    """
    if not (input_text := _text(record, columns.input, row)).strip():
        raise MalformedDataset(f"{columns.input!r} is empty", row=row)
    return FeedbackRow(
        row=row,
        input_text=input_text,
        output_text=_text(record, columns.output, row),
        feedback_score=parse_score(_present(record, columns.score, row), row),
        user_id=_optional_text(record, columns.user),
        event_id=_optional_text(record, columns.event),
        metadata=_metadata(record.get(columns.metadata), columns.metadata, row),
    )


def _present(record: dict[str, Any], name: str, row: int) -> Any:
    if name not in record:
        raise MalformedDataset(f"has no {name!r}", row=row)
    return record[name]


def _text(record: dict[str, Any], name: str, row: int) -> str:
    text = _present(record, name, row)
    if not isinstance(text, str):
        raise MalformedDataset(f"{name!r} must be text, not {type(text).__name__}", row=row)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise MalformedDataset(f"{name!r} is not valid Unicode: it holds a lone surrogate", row=row) from None
    if size > TEXT_BYTES_MAX:
        raise MalformedDataset(f"{name!r} is {size} bytes of UTF-8; at most {TEXT_BYTES_MAX} are accepted", row=row)
    return text


def _optional_text(record: dict[str, Any], name: str) -> str | None:
    value = record.get(name)
    return str(value).strip() or None if value is not None else None


def _metadata(value: Any, name: str, row: int) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    try:
        metadata = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise MalformedDataset(f"{name!r} must be a JSON object", row=row)
    if len(json.dumps(metadata).encode()) > METADATA_BYTES_MAX:
        raise MalformedDataset(f"{name!r} is larger than {METADATA_BYTES_MAX} bytes of JSON", row=row)
    return metadata
