"""Live feedback as a data set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from meta_learning.datasets import FeedbackLoader
from meta_learning.errors import CallerError
from meta_learning.events import FeedbackReceived

START = datetime(2026, 1, 1, tzinfo=UTC)


def event(hour: int, score: float, asked: str = "where?", said: str = "here", **more: Any) -> FeedbackReceived:
    fields = {"loop": "support", **more}
    return FeedbackReceived(
        event_id=f"e{hour}", occurred_at=START + timedelta(hours=hour), input_text=asked, output_text=said,
        feedback_score=score, **fields,
    )  # fmt: skip


def expected(loader: FeedbackLoader) -> list[str]:
    return sorted(sample["expected"] for sample in loader.get_samples(len(loader)))


def test_the_best_liked_answer_to_an_input_is_the_expected_one() -> None:
    events = [event(0, 0.8, said="good"), event(1, 1.0, said="best"), event(2, 0.9, said="later")]
    (sample,) = FeedbackLoader(events).get_samples(1)
    assert sample["expected"] == "best"
    assert sample["metadata"] == {
        "event_id": "e1", "loop": "support", "score": 1.0, "time": "2026-01-01T01:00:00+00:00",
        "prompt_version": None, "model_version": None,
    }  # fmt: skip


def test_of_equally_liked_answers_the_latest_counts_in_whatever_order_they_come() -> None:
    events = [event(5, 1.0, said="new"), event(1, 1.0, said="old")]
    assert expected(FeedbackLoader(events)) == expected(FeedbackLoader(events[::-1])) == ["new"]


def test_answers_below_the_threshold_are_left_out() -> None:
    events = [event(0, 0.69, asked="a", said="x"), event(1, 0.7, asked="b", said="y")]
    assert expected(FeedbackLoader(events)) == ["y"]
    assert expected(FeedbackLoader(events, score_min=0.0)) == ["x", "y"]


def test_events_are_chosen_by_loop_time_and_version() -> None:
    events = [
        event(0, 1.0, asked="a", said="v1", prompt_version="p1"),
        event(1, 1.0, asked="b", said="v2", model_version="m2"),
        event(2, 1.0, asked="c", said="other", loop="sales"),
    ]
    assert expected(FeedbackLoader(events, loop="sales")) == ["other"]
    assert expected(FeedbackLoader(events, version="p1")) == ["v1"]
    assert expected(FeedbackLoader(events, version="m2")) == ["v2"]
    since, until = START + timedelta(hours=1), START + timedelta(hours=2)
    assert expected(FeedbackLoader(events, since=since, until=until)) == ["v2"]


def test_the_same_question_in_two_loops_is_two_items() -> None:
    events = [event(0, 1.0, said="one"), event(1, 1.0, said="two", loop="sales")]
    assert expected(FeedbackLoader(events)) == ["one", "two"]


def test_the_events_are_read_lazily_and_once() -> None:
    read: list[str] = []

    def archive() -> Iterator[FeedbackReceived]:
        for number in range(3):
            read.append(f"e{number}")
            yield event(number, 1.0, asked=str(number))

    loader = FeedbackLoader(archive())
    assert read == []
    assert loader.get_samples(3) == loader.get_samples(3)
    assert read == ["e0", "e1", "e2"]


def test_filters_that_leave_nothing_say_so_when_samples_are_asked_for() -> None:
    with pytest.raises(CallerError, match="asked for 1 samples, 0 are available"):
        FeedbackLoader([event(0, 0.1)]).get_samples(1)


def test_impossible_filters_are_the_callers_mistake() -> None:
    with pytest.raises(CallerError, match="score_min"):
        FeedbackLoader([], score_min=1.5)
    with pytest.raises(CallerError, match="time zone"):
        FeedbackLoader([], since=datetime(2026, 1, 1))
