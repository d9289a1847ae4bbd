"""The client's own behaviour, against a scripted HTTP server: ids, batches, waits, and what its errors mean.

Its dialogue with the real service is tested in `tests/services/ingest/test_client_and_door.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from meta_learning.client import FeedbackClient, Refused
from meta_learning.client import dialogue as dialogue_module
from meta_learning.errors import (
    BackPressure,
    BrokerUnavailable,
    CallerError,
    MalformedEvent,
    MetaLearningError,
    NotFound,
    WorldError,
)

GOOD = {"loop": "support", "input_text": "Hi", "output_text": "Hello", "feedback_score": 1.0}
Answer = Callable[[httpx.Request], httpx.Response]


def client_of(answer: Answer, attempts_max: int = 3) -> FeedbackClient:
    """A client whose requests go to ``answer`` and whose waits take no time."""
    return FeedbackClient(
        "http://ingest", "key", attempts_max=attempts_max, transport=httpx.MockTransport(answer), sleep=lambda s: None
    )


def scripted(*replies: httpx.Response | Exception) -> tuple[Answer, list[httpx.Request]]:
    """A server that gives ``replies`` in turn, and what it was asked."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        reply = replies[len(asked) - 1]
        if isinstance(reply, Exception):
            raise reply
        return reply

    return answer, asked


def taken(event_id: str = "a1") -> httpx.Response:
    return httpx.Response(202, json={"event_id": event_id, "outcome": "accepted", "entry_id": "1-0"})


def test_a_lost_answer_is_asked_for_again_with_the_same_id() -> None:
    answer, asked = scripted(httpx.ReadTimeout("lost"), httpx.Response(503), taken())
    with client_of(answer) as client:
        assert client.send(**GOOD).outcome == "accepted"
    ids = [json.loads(request.content)["event_id"] for request in asked]
    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert asked[0].headers["authorization"] == "Bearer key"


def test_a_bad_event_is_refused_before_it_is_sent() -> None:
    answer, asked = scripted()
    with client_of(answer) as client, pytest.raises(MalformedEvent) as caught:
        client.send(**(GOOD | {"feedback_score": 2}))
    assert caught.value.field == "feedback_score"
    assert asked == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (httpx.Response(401, json={"detail": "a key is needed"}), CallerError),
        (httpx.Response(409, json={"detail": "other content"}), CallerError),
        (httpx.Response(422, json={"detail": "loop: bad", "field": "loop"}), MalformedEvent),
        (httpx.Response(404, json={"detail": "no prompt"}), NotFound),
        (httpx.Response(429, headers={"Retry-After": "7"}), BackPressure),
        (httpx.Response(503), BrokerUnavailable),
        (httpx.Response(500, text="<html>"), WorldError),
        (httpx.ConnectError("refused"), WorldError),
    ],
)
def test_what_an_answer_means(reply: httpx.Response | Exception, error: type[MetaLearningError]) -> None:
    answer, _ = scripted(reply)
    with client_of(answer, attempts_max=1) as client, pytest.raises(error) as caught:
        client.send(**GOOD)
    if isinstance(caught.value, BackPressure):
        assert caught.value.retry_after_s == 7.0


def test_the_server_says_how_long_to_wait() -> None:
    waits: list[float] = []
    answer, _ = scripted(httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(503), taken())
    transport = httpx.MockTransport(answer)
    with FeedbackClient("http://ingest", transport=transport, sleep=waits.append) as client:
        client.send(**GOOD)
    assert waits == [3.0, 0.4]


def lines(request: httpx.Request) -> list[dict[str, Any]]:
    return [json.loads(line) for line in request.content.splitlines()]


def outcomes(status: int, *names: str) -> httpx.Response:
    items = [{"index": index, "event_id": f"e{index}", "outcome": name} for index, name in enumerate(names)]
    return httpx.Response(status, json={"items": items})


def test_only_what_was_pushed_back_or_unknown_is_sent_again() -> None:
    answer, asked = scripted(
        outcomes(207, "accepted", "back_pressure", "conflict", "duplicate"),
        outcomes(503, "unknown"),
        outcomes(200, "accepted"),
    )
    with client_of(answer) as client:
        report = client.send_many([GOOD | {"event_id": f"e{n}"} for n in range(4)])
    assert [[line["event_id"] for line in lines(request)] for request in asked] == [
        ["e0", "e1", "e2", "e3"],
        ["e1"],
        ["e1"],
    ]
    assert (report.accepted, report.duplicate) == (2, 1)
    assert report.refused == [Refused(2, "e2", "conflict", None, "")]


def test_many_go_in_batches_and_bad_ones_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue_module, "BATCH_COUNT_MAX", 2)
    answer, asked = scripted(*(outcomes(200, *["accepted"] * n) for n in (2, 2, 1)))
    rows = [GOOD] * 2 + [GOOD | {"loop": "NO"}] + [GOOD] * 3
    with client_of(answer) as client:
        report = client.send_many(row for row in rows)
    assert [len(lines(request)) for request in asked] == [2, 2, 1]
    assert report.accepted == 5
    assert [(item.index, item.field) for item in report.refused] == [(2, "loop")]


def test_nothing_to_send_asks_nobody() -> None:
    answer, asked = scripted()
    with client_of(answer) as client:
        assert client.send_many([]).accepted == 0
    assert asked == []


def test_a_refused_key_ends_the_sending_at_once() -> None:
    answer, asked = scripted(httpx.Response(401, json={"detail": "a key is needed"}))
    with client_of(answer) as client, pytest.raises(CallerError):
        client.send_many([GOOD])
    assert len(asked) == 1


def test_one_text_is_no_list_of_candidates() -> None:
    answer, _ = scripted()
    with client_of(answer) as client, pytest.raises(CallerError):
        client.rank("support", "Hi", "Hello")
