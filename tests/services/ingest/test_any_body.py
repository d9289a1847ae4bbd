"""Whatever is sent, the door answers it, and never with 5xx; and its document says what it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meta_learning.streams.memory import MemoryLog
from tests.services.ingest.serving import GOOD, Door, door

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
optional = st.sampled_from(["event_id", "occurred_at", "metadata", "user_id", "propensity", "type", "schema_version"])
nearly_good = st.dictionaries(st.sampled_from(sorted(GOOD)) | optional, anything, max_size=3).map(
    lambda changes: GOOD | changes
)


@pytest.fixture(scope="module")
def any_door() -> Iterator[Door]:
    with door(MemoryLog(2)) as served:
        yield served


def post(served: Door, path: str, body: bytes, kind: str = "application/json") -> int:
    status = served.http.post(path, content=body, headers={"Content-Type": kind}).status_code
    assert 200 <= status < 500
    return status


@QUICK
@given(body=anything | nearly_good)
def test_any_json_value_gets_an_answer_at_every_door(any_door: Door, body: Any) -> None:
    encoded = json.dumps(body).encode()
    for path in ("/v1/feedback", "/v1/feedback/batch", "/v1/loops/support/rank"):
        post(any_door, path, encoded)


@QUICK
@given(items=st.lists(anything | nearly_good, max_size=4))
def test_any_list_is_taken_item_by_item(any_door: Door, items: list[Any]) -> None:
    answer = any_door.lines(b"\n".join(json.dumps(item).encode() for item in items))
    assert answer.status_code < 500
    if items:
        assert len(answer.json()["items"]) == len(items)
        post(any_door, "/v1/feedback/batch", json.dumps(items).encode())


@QUICK
@given(body=st.binary(max_size=200))
def test_any_bytes_get_an_answer(any_door: Door, body: bytes) -> None:
    for path in ("/v1/feedback", "/v1/feedback/batch", "/v1/loops/support/rank"):
        post(any_door, path, body)
    post(any_door, "/v1/feedback/batch", body, "application/x-ndjson")


@QUICK
@given(loop=st.text(min_size=1, max_size=70), unit=st.text(max_size=140))
def test_any_loop_and_unit_get_an_answer(any_door: Door, loop: str, unit: str) -> None:
    from urllib.parse import quote

    path = f"/v1/loops/{quote(loop, safe='', errors='replace')}/prompt"
    assert any_door.http.get(path, params={"unit": unit.encode(errors="replace")}).status_code < 500


def test_the_document_describes_every_door(any_door: Door) -> None:
    document = any_door.http.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/feedback",
        "/v1/feedback/batch",
        "/v1/loops/{loop}/prompt",
        "/v1/loops/{loop}/rank",
    }
    feedback = document["components"]["schemas"]["Feedback"]
    assert set(feedback["required"]) == set(GOOD)
    assert "application/x-ndjson" in document["paths"]["/v1/feedback/batch"]["post"]["requestBody"]["content"]
    assert any_door.http.get("/docs").status_code == 200


def test_every_metric_says_what_it_counts(any_door: Door) -> None:
    text = any_door.http.get("/metrics").text
    named = [line.split(" ", 3) for line in text.splitlines() if line.startswith("# HELP")]
    assert len(named) >= 10
    assert all(name.startswith("meta_learning_ingest_") and words.endswith(".") for _, _, name, words in named)
