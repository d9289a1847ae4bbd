"""The single door: what it takes, what it refuses, and what it says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from meta_learning.events import TEXT_BYTES_MAX, decode
from meta_learning.streams import Entry, Limits
from tests.services.ingest.conftest import LogMaker
from tests.services.ingest.serving import Door, door, good, plan


def entries_of(make_log: LogMaker) -> list[Entry]:
    async def look() -> list[Entry]:
        log = make_log(Limits())
        await log.start()
        found = [entry for partition in range(2) for entry in await log.entries(partition, "feedback")]
        await log.close()
        return found

    return asyncio.run(look())


def test_what_was_accepted_lies_on_the_stream_as_it_was_sent(make_log: LogMaker) -> None:
    with door(make_log(Limits())) as served:
        sent = good("a1", metadata={"n": [1, {"k": "ü"}]}, user_id="u7", propensity=0.5)
        answer = served.send(sent)
        assert answer.status_code == 202
        said = answer.json()
        (entry,) = entries_of(make_log)
    assert said | {"entry_id": entry.id} == {
        "event_id": "a1",
        "outcome": "accepted",
        "entry_id": entry.id,
        "identity_window_s": 86_400,
        "durability": "everysec",
    }
    assert entry.type == "FeedbackReceived"
    event = decode(entry.body)
    assert {name: getattr(event, name) for name in sent} == sent


def test_the_server_chooses_what_the_producer_leaves_out(both: Door) -> None:
    first, second = both.send(good()).json(), both.send(good()).json()
    assert first["event_id"] != second["event_id"]
    assert first["outcome"] == second["outcome"] == "accepted"


def test_sending_again_is_harmless_and_says_so(both: Door) -> None:
    first = both.send(good("a1"))
    again = both.send(good("a1", occurred_at="2026-01-02T03:04:05Z"))
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["outcome"] == "duplicate"
    assert again.json()["entry_id"] == first.json()["entry_id"]


def test_another_text_under_the_same_id_is_a_conflict(both: Door) -> None:
    both.send(good("a1"))
    answer = both.send(good("a1", output_text="Something else."))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == "event_id"
    assert answer.json()["outcome"] == "conflict"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"loop": "No Slug!"}, "loop"),
        ({"loop": 7}, "loop"),
        ({"feedback_score": 1.01}, "feedback_score"),
        ({"feedback_score": -0.01}, "feedback_score"),
        ({"feedback_score": "1"}, "feedback_score"),
        ({"feedback_score": True}, "feedback_score"),
        ({"feedback_score": None}, "feedback_score"),
        ({"input_text": 3}, "input_text"),
        ({"input_text": "ü" * (TEXT_BYTES_MAX // 2 + 1)}, "input_text"),
        ({"output_text": ["a"]}, "output_text"),
        ({"metadata": {"k": "x" * 5000}}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": "a b"}, "event_id"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "2026-01-02T03:04:05"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"occurred_at": True}, "occurred_at"),
        ({"propensity": 0.0}, "propensity"),
        ({"user_id": ""}, "user_id"),
        ({"schema_version": 2}, "schema_version"),
        ({"type": "PromoteModel"}, "type"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field_and_never_repeated(
    memory_door: Door, changes: dict[str, Any], field: str
) -> None:
    answer = memory_door.send(good(**changes))
    assert answer.status_code == 422
    assert answer.json()["field"].split(".")[0] == field
    assert "xxxx" not in answer.text
    assert "üü" not in answer.text


@pytest.mark.parametrize("missing", ["loop", "input_text", "output_text", "feedback_score"])
def test_a_missing_field_is_named(memory_door: Door, missing: str) -> None:
    answer = memory_door.send({name: value for name, value in good().items() if name != missing})
    assert (answer.status_code, answer.json()["field"]) == (422, missing)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["feedback_score", "metadata", "unknown"])
def test_what_is_not_finite_is_refused_wherever_it_stands(memory_door: Door, literal: str, field: str) -> None:
    changed: dict[str, Any] = {field: {"deep": "@"} if field == "metadata" else "@"}
    sent = json.dumps(good(**changed)).replace('"@"', literal)
    answer = memory_door.http.post("/v1/feedback", content=sent, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["field"].split(".")[0]) == (422, field)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nope", b'{"loop": "a"', b"\xff\xfe", b'{"loop": "\xff"}', b"[" * 5000, b'{"loop": "\\ud800"}']
)
def test_what_is_no_json_is_a_bad_request(memory_door: Door, body: bytes) -> None:
    answer = memory_door.http.post("/v1/feedback", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["status"] == 400


@pytest.mark.parametrize("body", [b"[]", b"3", b"null", b'"text"', b"{}"])
def test_json_that_is_no_event_is_invalid_content(memory_door: Door, body: bytes) -> None:
    answer = memory_door.http.post("/v1/feedback", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_an_unknown_name_is_left_out_and_said(both: Door) -> None:
    answer = both.send(good("a1", propensty=0.5))
    assert answer.status_code == 202
    assert answer.json()["ignored"] == ["propensty"]
    assert both.send(good("a1")).json()["outcome"] == "duplicate"


def test_of_a_name_that_comes_twice_the_last_one_counts(memory_door: Door) -> None:
    body = json.dumps(good("a1"))[:-1] + ', "feedback_score": 0.25}'
    assert memory_door.http.post("/v1/feedback", content=body).status_code == 202
    assert memory_door.send(good("a1", feedback_score=0.25)).json()["outcome"] == "duplicate"


def test_the_longest_texts_pass_even_when_every_sign_is_escaped(memory_door: Door) -> None:
    long = "\u0001" * TEXT_BYTES_MAX
    assert memory_door.send(good(input_text=long, output_text=long)).status_code == 202


def test_a_body_beyond_the_bound_is_too_large_however_it_is_sent(narrow: Door) -> None:
    body = json.dumps(good(input_text="x" * 5000)).encode()
    told = narrow.http.post("/v1/feedback", content=body)
    untold = narrow.http.post("/v1/feedback", content=iter([body[:100], body[100:]]))
    assert (told.status_code, untold.status_code) == (413, 413)
    assert narrow.send(good()).status_code == 202


@pytest.fixture
def narrow(make_log: LogMaker) -> Iterator[Door]:
    with door(make_log(Limits()), plan(single_bytes_max=2048, batch_bytes_max=4096)) as served:
        yield served


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_another_media_type_is_refused(memory_door: Door, headers: dict[str, str]) -> None:
    answer = memory_door.http.post("/v1/feedback", content=json.dumps(good()), headers=headers)
    assert answer.status_code == 415


def test_a_page_of_another_site_cannot_feed_a_door_without_keys(memory_door: Door) -> None:
    body = json.dumps(good()).encode()  # what `fetch(url, {mode: "no-cors", body: new Blob([text])})` sends
    answers = [
        memory_door.http.post("/v1/feedback", content=body, headers={"Sec-Fetch-Site": site}).status_code
        for site in ("cross-site", "same-origin")
    ]
    assert answers == [403, 202]


def test_words_that_are_no_methods_make_no_metrics(memory_door: Door) -> None:
    for word in ("BREW", "PROPFIND", "M-SEARCH"):
        memory_door.http.request(word, "/healthz")
    methods = set(re.findall(r'request_seconds_count\{method="([^"]+)"', memory_door.http.get("/metrics").text))
    assert methods <= {"GET", "other"}


def test_only_post_opens_the_door(memory_door: Door) -> None:
    answer = memory_door.http.get("/v1/feedback")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_loop_too_many_is_invalid_and_the_known_ones_go_on(make_log: LogMaker) -> None:
    with door(make_log(Limits(loops_count_max=1))) as served:
        assert served.send(good(loop="first")).status_code == 202
        refused = served.send(good(loop="second"))
        assert (refused.status_code, refused.json()["field"]) == (422, "loop")
        assert refused.json()["outcome"] == "too_many_loops"
        assert served.send(good(loop="first")).status_code == 202


def test_the_answer_carries_the_request_id_that_was_sent(memory_door: Door) -> None:
    assert memory_door.send(good(), **{"X-Request-ID": "req-7"}).headers["x-request-id"] == "req-7"
    made = memory_door.send(good(), **{"X-Request-ID": "bad id"}).headers["x-request-id"]
    assert len(made) == 32


def test_the_trace_goes_with_the_entry(make_log: LogMaker) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with door(make_log(Limits())) as served:
        served.send(good(), traceparent=trace)
        (entry,) = entries_of(make_log)
    assert entry.traceparent == trace
