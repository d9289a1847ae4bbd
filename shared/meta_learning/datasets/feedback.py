"""Live feedback as a data set: the answers that users liked best become the ones that are expected.

>>> from meta_learning.events import FeedbackReceived, parse_time
>>> events = [
...     FeedbackReceived(event_id=f"e{n}", occurred_at=parse_time("2026-01-02T03:04:05Z"), loop="support",
...                      input_text="Where is my parcel?", output_text=text, feedback_score=score)
...     for n, (text, score) in enumerate([("No idea.", 0.0), ("Due tomorrow: the tracking page shows it.", 1.0)])
... ]
>>> FeedbackLoader(iter(events), loop="support").get_samples(1)[0]["expected"]
'Due tomorrow: the tracking page shows it.'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from meta_learning.datasets.base import BaseDatasetLoader, Sample
from meta_learning.datasets.groups import grouped
from meta_learning.errors import CallerError
from meta_learning.events import FeedbackReceived


class FeedbackLoader(BaseDatasetLoader):
    """The best-liked answer to every input, among the events that the filters let through.

    ``events`` is read once, at the first question about its items: an archive, a stream's entries, or both chained.
    ``since`` is inclusive and ``until`` exclusive, both with a time zone; ``version`` is a prompt's or a model's.
    Of equally scored answers to one input the latest counts.
    ``group``: ``"user"``, or a field of the events' metadata such as a session or thread; what has none stands for itself.
    A model's answer is right when it is the liked one: labels and short answers can be evolved on, free text cannot
    (a run on it ends as failed before it asks anything, unless an ``evaluation_fn`` judges).
    """

    name = "feedback"

    def __init__(
        self,
        events: Iterable[FeedbackReceived],
        *,
        loop: str | None = None,
        score_min: float = 0.7,
        since: datetime | None = None,
        until: datetime | None = None,
        version: str | None = None,
        group: str | None = None,
    ) -> None:
        if not 0.0 <= score_min <= 1.0:
            raise CallerError(f"score_min must lie in [0, 1], not {score_min!r}")
        if any(time is not None and time.tzinfo is None for time in (since, until)):
            raise CallerError("since and until need a time zone")
        self.events = events
        self.loop, self.score_min, self.since, self.until, self.version = loop, score_min, since, until, version
        self.group = group

    def wanted(self) -> list[FeedbackReceived]:
        """The events that the filters let through."""
        return list(filter(self._wanted, self.events))

    def load_data(self) -> Sequence[FeedbackReceived]:
        """Fold the events to the best one for each loop and input, in the order in which the inputs first came.

        Raises:
            CallerError: there are groups to be made by a field that no event has.
        """
        best: dict[tuple[str, str], FeedbackReceived] = {}
        for event in self.wanted():
            rival = best.get((event.loop, event.input_text))
            if rival is None or _rank(event) >= _rank(rival):
                best[event.loop, event.input_text] = event
        if best and self.group is not None and all(self._group(event) is None for event in best.values()):
            raise CallerError(
                f"no piece of feedback says its {self.group}: group by 'user' or a field of metadata that is sent"
            )
        return list(best.values())

    def format_sample(self, sample: FeedbackReceived) -> Sample:
        """The input, the liked answer, and where it comes from."""
        found = {
            "input": sample.input_text,
            "expected": sample.output_text,
            "metadata": {
                "event_id": sample.event_id,
                "loop": sample.loop,
                "score": sample.feedback_score,
                "time": sample.occurred_at.isoformat(),
                "prompt_version": sample.prompt_version,
                "model_version": sample.model_version,
            },
        }
        return grouped(found, self._group(sample))

    def _group(self, event: FeedbackReceived) -> Any:
        if self.group is None:
            return None
        return event.user_id if self.group == "user" else event.metadata.get(self.group)

    def _wanted(self, event: FeedbackReceived) -> bool:
        return (
            event.feedback_score >= self.score_min
            and self.loop in (None, event.loop)
            and self.version in (None, event.prompt_version, event.model_version)
            and (self.since is None or event.occurred_at >= self.since)
            and (self.until is None or event.occurred_at < self.until)
        )


def _rank(event: FeedbackReceived) -> tuple[float, datetime]:
    return event.feedback_score, event.occurred_at
