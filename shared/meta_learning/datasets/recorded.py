"""Feedback out of what a system has kept: the trainer's archive, and events as JSON lines.

>>> from meta_learning.events import FeedbackReceived, parse_time
>>> event = FeedbackReceived(event_id="e1", occurred_at=parse_time("2026-01-02T03:04:05Z"), loop="support",
...                          input_text="Open?", output_text="Until six.", feedback_score=1.0)
>>> [one.event_id for one in feedback_of([event.encode().decode(), '{"type": "CycleCompleted"}'])]
['e1']
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from meta_learning.errors import MalformedEvent
from meta_learning.events import FeedbackReceived

ARCHIVE = "archive"


def feedback_of(lines: Iterable[str]) -> Iterator[FeedbackReceived]:
    """Feedback from JSON lines: events as they are, or the trainer's archive, where other types lie between.

    Raises:
        MalformedEvent: a line is no JSON object, or a damaged piece of feedback; the message says which line.
    """
    for number, line in enumerate(lines, start=1):
        try:
            said = json.loads(line)
            kind, body = said["type"], said.get("body", line)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise MalformedEvent(f"line {number} is no event") from None
        if kind == "FeedbackReceived":
            try:
                yield FeedbackReceived.decode(str(body).encode())
            except MalformedEvent as error:
                raise MalformedEvent(f"line {number}: {error}", error.field) from None


def archived_feedback(data_folder: Path, partition: int) -> Iterator[FeedbackReceived]:
    """What the trainer has archived of one partition's feedback, oldest first; what it could not read either is left out."""
    for segment in sorted((data_folder / ARCHIVE / f"p{partition}" / "feedback").glob("*.jsonl"), key=_first_entry):
        with segment.open(encoding="utf-8") as lines:
            for line in lines:
                with suppress(MalformedEvent):
                    yield from feedback_of([line])


def _first_entry(segment: Path) -> tuple[int, int]:
    """A segment is named by its first entry: milliseconds, and a number within them."""
    milliseconds, _, number = segment.name.partition("_")[0].partition("-")
    return int(milliseconds), int(number)
