"""Who belongs together is read from any kind of data set, wrong columns are named, and the card says what would leak."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meta_learning.datasets import FeedbackLoader, Sentiment140Loader, load, open_dataset
from meta_learning.datasets.base import BaseDatasetLoader
from meta_learning.datasets.card import card_of
from meta_learning.errors import CallerError, MalformedDataset
from meta_learning.events import FeedbackReceived, parse_time

NAN = float("nan")
ROWS = [("Win now", "spam", "a"), ("Hello", "ham", "b"), ("Call me", "ham", ""), ("Win more", "spam", "a")]


def csv(path: Path) -> Path:
    file = path / "mail.csv"
    file.write_text("text,kind,sender\n" + "".join(",".join(row) + "\n" for row in ROWS))
    return file


def jsonl(path: Path) -> Path:
    file = path / "mail.jsonl"
    rows = [{"text": text, "kind": kind, **({"sender": who} if who else {})} for text, kind, who in ROWS]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def parquet(path: Path) -> Path:
    return table(path, {name: [row[at] or None for row in ROWS] for at, name in enumerate(("text", "kind", "sender"))})


def table(path: Path, columns: dict[str, list[Any]]) -> Path:
    arrow = pytest.importorskip("pyarrow", reason="Parquet is an extra")
    from pyarrow import parquet as writing

    writing.write_table(arrow.table(columns), path / "mail.parquet")
    return path / "mail.parquet"


def groups(loader: BaseDatasetLoader) -> dict[str, str | None]:
    return {one["input"]: one.get("group") for one in loader.get_samples(len(loader))}


@pytest.mark.parametrize("made", [csv, jsonl, parquet])
def test_a_column_says_who_belongs_together(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    path = str(made(tmp_path))
    loader = open_dataset(path, input="text", expected="kind", group="sender")
    assert groups(loader) == {"Win now": "a", "Hello": "b", "Call me": None, "Win more": "a"}
    assert set(groups(open_dataset(path, input="text", expected="kind")).values()) == {None}


@pytest.mark.parametrize("made", [csv, jsonl, parquet])
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    loader = open_dataset(str(made(tmp_path)), input="text", expected="kind", group="thread")
    with pytest.raises(
        MalformedDataset, match=r"mail.*: no column 'thread' to group by; there are 'text', 'kind', 'sender'"
    ):
        loader.get_samples(1)


@pytest.mark.parametrize(
    "senders", [[17.0, NAN, None, NAN, 17.0], [17, None, None, None, 17], ["a", "", None, " ", "a"]]
)
def test_a_row_with_nothing_in_the_column_stands_for_itself(tmp_path: Path, senders: list[Any]) -> None:
    path = table(tmp_path, {"input": list("abcde"), "expected": ["ham"] * 5, "sender": senders})
    found = groups(open_dataset(str(path), group="sender"))
    assert [found[one] for one in "bcd"] == [None, None, None]
    assert found["a"] == found["e"] == str(senders[0])


def test_a_column_of_nothing_makes_no_groups_in_a_parquet_file_either(tmp_path: Path) -> None:
    path = table(tmp_path, {"input": ["Hello", "Win"], "expected": ["ham", "spam"], "sender": [NAN, None]})
    with pytest.raises(MalformedDataset, match=r"mail\.parquet: 'sender' is empty in every row"):
        open_dataset(str(path), group="sender").get_samples(1)


@pytest.mark.parametrize("answers", [[1.0, NAN], ["ham", None], ["ham", ""]])
def test_an_answer_that_is_missing_is_no_answer(tmp_path: Path, answers: list[Any]) -> None:
    path = table(tmp_path, {"input": ["Hello", "Win"], "expected": answers})
    with pytest.raises(MalformedDataset, match=r"mail\.parquet, row 2: 'expected' is empty"):
        open_dataset(str(path)).get_samples(1)


def test_an_empty_column_makes_no_groups_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "mail.csv").write_text("input,expected,user\nHello,ham,\nWin,spam, \n")
    with pytest.raises(MalformedDataset, match=r"mail\.csv: .*'user' is empty in every row"):
        open_dataset(str(tmp_path / "mail.csv"), group="user").get_samples(1)


def test_a_group_that_is_no_plain_value_is_refused_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "mail.jsonl").write_text('{"input": "a", "expected": "b", "user": ["x"]}\n')
    with pytest.raises(MalformedDataset, match=r"mail\.jsonl, row 1: a group must be text or a number, not list"):
        open_dataset(str(tmp_path / "mail.jsonl"), group="user").get_samples(1)


def test_named_data_sets_have_the_groups_of_their_papers() -> None:
    tweets = load("sentiment140", group="user").get_samples(50)
    assert all(one["group"] for one in tweets)
    assert all("user" not in one["metadata"] for one in tweets)
    assert "group" not in Sentiment140Loader().get_samples(1)[0]
    question = load("commonsense_qa", group="concept").get_samples(1)[0]
    assert question["group"] == question["metadata"]["concept"]
    with pytest.raises(CallerError, match="the group can be 'user', not 'id'"):
        load("sentiment140", group="id")


def feedback(count: int, **more: str) -> list[FeedbackReceived]:
    time = parse_time("2026-01-02T03:04:05Z")
    said: dict[str, Any] = {"loop": "support", "output_text": "yes", "feedback_score": 1.0, "occurred_at": time}
    return [
        FeedbackReceived(
            event_id=f"e{n}", input_text=f"q{n}", user_id=f"u{n % 3}" if n else None, metadata=more, **said
        )
        for n in range(count)
    ]


def test_live_feedback_is_grouped_by_user_or_by_a_field_of_its_metadata() -> None:
    by_user = groups(FeedbackLoader(feedback(5), group="user"))
    assert by_user == {"q0": None, "q1": "u1", "q2": "u2", "q3": "u0", "q4": "u1"}
    assert set(groups(FeedbackLoader(feedback(3, session="s1"), group="session")).values()) == {"s1"}
    with pytest.raises(
        CallerError, match="no piece of feedback says its thread: group by 'user' or a field of metadata"
    ):
        FeedbackLoader(feedback(3), group="thread").get_samples(1)


def test_the_card_says_how_many_groups_there_are_and_what_would_leak(tmp_path: Path) -> None:
    rows = [(f"mail {n}", f"sender {n % 4}") for n in range(20)] + [("mail 1", "sender 0"), ("stray", "")]
    path = tmp_path / "mail.csv"
    path.write_text("input,expected,sender\n" + "".join(f"{text},ham,{who}\n" for text, who in rows))
    card = card_of("mail", open_dataset(str(path), group="sender"))
    found = card.groups
    assert found is not None
    assert (found.count, found.largest, found.median, found.alone) == (4, 6, 5, 0)
    assert (found.ungrouped, found.shared_inputs) == (1, 1)
    # Of sender 0's six items one leaks unless the five others are drawn with it, each with a chance of a fifth.
    assert found.leaking == pytest.approx((6 * (1 - 0.2**5) + 15 * (1 - 0.2**4)) / 22)
    text = card.as_markdown()
    assert "4 groups of 5 items in the middle; the largest has 6 (27.3%)" in text
    assert "1 items have no group" in text
    assert "95% of the items to test on would have others of their group outside" in text
    assert card_of("mail", open_dataset(str(path))).groups is None
    assert card.sha256 == card_of("mail", open_dataset(str(path))).sha256
