"""The batch door: an outcome for every item, whatever the others are."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from meta_learning.streams import Limits
from meta_learning.streams.memory import MemoryLog
from tests.services.ingest.conftest import LogMaker
from tests.services.ingest.serving import Door, door, good, plan


def outcomes(answer: object) -> list[str]:
    return [item["outcome"] for item in answer.json()["items"]]  # type: ignore[attr-defined]


def ndjson(*items: object) -> bytes:
    return b"\n".join(json.dumps(item).encode() for item in items)


def test_good_items_are_taken_and_bad_ones_named_by_place_and_field(both: Door) -> None:
    both.send(good("old"))
    both.send(good("clash"))
    answer = both.batch(
        [
            good("new"),
            good("bad", feedback_score=2),
            good("old"),
            good("clash", output_text="Other."),
            "no object",
            good("new"),
        ]
    )
    assert answer.status_code == 207
    assert outcomes(answer) == ["accepted", "invalid", "duplicate", "conflict", "invalid", "duplicate"]
    assert [item["index"] for item in answer.json()["items"]] == list(range(6))
    assert answer.json()["items"][1]["field"] == "feedback_score"
    assert answer.json()["counts"] == {"accepted": 1, "invalid": 2, "duplicate": 2, "conflict": 1}


def test_an_array_and_lines_give_the_same_outcomes(both: Door) -> None:
    sent = [good("a1"), good("a2", loop="NO"), good("a3", metadata={"k": 1}), good("a1")]
    by_lines = both.lines(ndjson(*sent))
    assert outcomes(by_lines) == ["accepted", "invalid", "accepted", "duplicate"]
    by_array = both.batch(sent)
    assert outcomes(by_array) == ["duplicate", "invalid", "duplicate", "duplicate"]
    assert [item.get("entry_id") for item in by_array.json()["items"]] == [
        item.get("entry_id") for item in by_lines.json()["items"]
    ]


def test_a_batch_of_which_everything_was_taken_is_ok_and_so_is_the_same_batch_again(both: Door) -> None:
    sent = [good(f"e{n}", loop=f"loop{n % 5}") for n in range(30)]
    first, again = both.batch(sent), both.batch(sent)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["counts"] == {"accepted": 30}
    assert again.json()["counts"] == {"duplicate": 30}


def test_a_truncated_last_line_is_the_fault_of_that_line_only(both: Door) -> None:
    whole = ndjson(good("a1"), good("a2"), good("a3"))
    answer = both.lines(whole[:-20])
    assert answer.status_code == 207
    assert outcomes(answer) == ["accepted", "accepted", "invalid"]
    assert "EOF" in answer.json()["items"][2]["detail"]


def test_lines_may_end_in_crlf_be_empty_and_begin_with_a_byte_order_mark(both: Door) -> None:
    body = b"\xef\xbb\xbf" + ndjson(good("a1")) + b"\r\n\r\n  \n" + ndjson(good("a2")) + b"\r\n"
    answer = both.lines(body)
    assert (answer.status_code, outcomes(answer)) == (200, ["accepted", "accepted"])


def test_bad_utf8_and_bad_json_spoil_only_their_lines(both: Door) -> None:
    bad = ndjson(good("a2")).replace(b"parcel", b"p\xffrcel")
    answer = both.lines(b"\n".join([ndjson(good("a1")), bad, b"{nope", ndjson(good("a3"))]))
    assert outcomes(answer) == ["accepted", "invalid", "invalid", "accepted"]


def test_nan_in_an_array_is_named_by_item_and_field(both: Door) -> None:
    body = json.dumps([good("a1"), good("a2", feedback_score=float("nan"))])
    answer = both.http.post("/v1/feedback/batch", content=body, headers={"Content-Type": "application/json"})
    assert outcomes(answer) == ["accepted", "invalid"]
    assert answer.json()["items"][1]["field"] == "feedback_score"


def test_a_batch_without_one_good_item_is_refused_with_its_reasons(both: Door) -> None:
    answer = both.batch([good(loop="NO"), 3])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [item["field"] for item in answer.json()["items"]] == ["loop", None]


@pytest.mark.parametrize(("body", "status"), [(b"[", 400), (b"{}", 400), (b"[]", 422), (b"\xff", 400), (b"", 400)])
def test_what_is_no_array_is_refused_as_a_whole(memory_door: Door, body: bytes, status: int) -> None:
    answer = memory_door.http.post("/v1/feedback/batch", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status


@pytest.fixture
def narrow() -> Iterator[Door]:
    bounds = {"single_bytes_max": 1024, "batch_bytes_max": 4096, "batch_items_max": 5, "append_items_max": 2}
    with door(MemoryLog(2), plan(**bounds)) as served:
        yield served


def test_a_batch_beyond_its_bounds_is_too_large_and_nothing_of_it_is_taken(narrow: Door) -> None:
    assert narrow.batch([good(f"e{n}") for n in range(6)]).status_code == 413
    assert narrow.lines(ndjson(*(good(f"e{n}") for n in range(6)))).status_code == 413
    assert narrow.lines(b"x" * 5000).status_code == 413
    assert narrow.http.post("/v1/feedback/batch", content=iter([b"[" + b" " * 3000, b" " * 3000])).status_code == 413
    assert narrow.metric('meta_learning_ingest_feedback_total{outcome="accepted"}') == 0


def test_a_line_beyond_the_bound_of_an_item_is_that_items_fault(narrow: Door) -> None:
    answer = narrow.lines(ndjson(good("a1"), good("a2", input_text="x" * 2000), good("a3")))
    assert outcomes(answer) == ["accepted", "invalid", "accepted"]


def test_ten_thousand_items_are_one_batch(ingest_broker_url: str, make_log: LogMaker) -> None:
    with door(make_log(Limits())) as served:
        body = ndjson(*(good(f"e{n}", loop=f"loop{n % 7}") for n in range(10_000)))
        answer = served.lines(body)
        assert answer.json()["counts"] == {"accepted": 10_000}
        assert len({item["entry_id"] + str(item["index"] % 7) for item in answer.json()["items"]}) == 10_000
        assert served.lines(body).json()["counts"] == {"duplicate": 10_000}


def test_items_pushed_back_are_said_beside_those_taken(make_log: LogMaker) -> None:
    with door(make_log(Limits(backlog_count_max=3)), plan(append_items_max=1)) as served:
        answer = served.batch([good(f"e{n}") for n in range(6)])
        assert "back_pressure" in outcomes(answer)
        assert "accepted" in outcomes(answer)
        assert answer.status_code == 207
        assert answer.headers["retry-after"] == "2"
        taken = [item["event_id"] for item in answer.json()["items"] if item["outcome"] == "accepted"]
        again = served.batch([good("e5")])
        assert (again.status_code, again.headers["retry-after"]) == (429, "2")
        assert served.send(good("another")).status_code == 429
        assert served.send(good(taken[0])).json()["outcome"] in {"duplicate", "back_pressure"}
        ready = served.http.get("/readyz")
        assert ready.status_code == 200
