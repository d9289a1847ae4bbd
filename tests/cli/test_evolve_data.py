"""What `meta-learning evolve` says of somebody's data before anything is spent, and how it divides what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.evolving import ITEMS, PROMPT, asked, results_in, run_of
from tests.services.evolver.loopback import Model, serving


def written(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("input,expected\n" + "".join(f'"{text}","{label}"\n' for text, label in rows))
    return path


def estimated(path: Path, *more: str) -> Any:
    """As far as the consent that nobody is there to give."""
    server = ("--provider", "openai", "--base-url", "http://127.0.0.1:1/v1", "--model", "any")
    return asked("evolve", str(path), "--prompt", PROMPT, *server, "--data-folder", str(path.parent / "data"), *more)


def parts(result: Any) -> tuple[int, int]:
    found = re.search(r"(\d+) items to search on, (\d+) fresh ones", result.output)
    assert found, result.output
    return int(found[1]), int(found[2])


def rows_of(count: int) -> list[tuple[str, str]]:
    return [(f"text number {n}", ("good", "bad")[n % 2]) for n in range(count)]


@pytest.mark.parametrize(
    ("rows", "said", "divided"),
    [
        (200, ("--samples", "180", "--calls", "900"), (180, 20)),
        (200, ("--samples", "151", "--calls", "900"), (151, 49)),
        (200, ("--samples", "190", "--calls", "900"), (190, 0)),
        (200, ("--gate-samples", "150", "--calls", "900"), (50, 150)),
        (30, (), (30, 0)),
        (40, (), (20, 20)),
        (60, ("--gate-samples", "19"), (60, 0)),
    ],
)
def test_what_is_not_searched_on_decides_and_where_that_is_too_little_all_are_searched_on(
    rows: int, said: tuple[str, ...], divided: tuple[int, int], tmp_path: Path
) -> None:
    result = estimated(written(tmp_path / "mail.csv", rows_of(rows)), *said)
    assert result.exit_code == 4, result.output
    assert parts(result) == divided
    assert "beware" not in result.output
    if not divided[1]:
        left = min(rows - divided[0], 19)
        assert f"none: that takes 20 fresh items or more, and {left} are left" in result.output


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (
            ("--gate-samples", "1000"),
            "--gate-samples 1000 leaves 0 of 200 different inputs to search on; give 180 at most",
        ),
        (("--gate-samples", "199"), "leaves 1 of 200 different inputs to search on; give 180 at most"),
        (("--samples", "201"), "--samples 201: mail.csv has 200 rows; give fewer"),
    ],
)
def test_numbers_that_leave_nothing_to_search_on_are_refused(said: tuple[str, ...], word: str, tmp_path: Path) -> None:
    result = estimated(written(tmp_path / "mail.csv", rows_of(200)), *said)
    assert result.exit_code == 1
    assert word in " ".join(result.output.split())
    assert len(result.output.splitlines()) == 1


def test_less_than_was_asked_for_is_said(tmp_path: Path) -> None:
    result = estimated(
        written(tmp_path / "mail.csv", rows_of(200)), "--samples", "170", "--gate-samples", "100", "--calls", "900"
    )
    assert parts(result) == (170, 30)
    assert "beware     --gate-samples 100: there are enough different inputs for 30 only" in result.output


def test_repeated_and_contradicting_rows_are_said_before_anything_is_spent(tmp_path: Path) -> None:
    rows = [*rows_of(80), *[(f"Text  number {n}!", "good") for n in range(10)]]
    result = estimated(written(tmp_path / "mail.csv", rows))
    assert parts(result) == (40, 40)
    assert (
        "beware     90 rows have 80 different inputs (whatever case and punctuation): each counts once\n"
        in result.output
    )
    assert "           5 inputs stand there with different answers: one of them counts" in result.output
    same = estimated(written(tmp_path / "mail.csv", [("the same", ("yes", "no")[n % 2]) for n in range(100)]))
    assert "100 rows have 1 different input" in same.output
    assert "1 input stands there with different answers" in same.output
    assert "every item expects" in same.output


def test_a_label_in_several_spellings_is_said_and_costs_no_score(tmp_path: Path) -> None:
    rows = [(text, label.capitalize() if n % 3 == 0 else label) for n, (text, label) in enumerate(ITEMS.items())]
    path, scores = tmp_path / "mail.csv", []
    with serving(Model(ITEMS)) as url:
        for some in (rows, list(ITEMS.items())):
            server = (
                "--provider",
                "openai",
                "--base-url",
                url,
                "--model",
                "any",
                "--data-folder",
                str(tmp_path / "data"),
            )
            size = ("--samples", "40", "--gate-samples", "50", "--calls", "400", "--iterations", "0", "--yes")
            result = asked("evolve", str(written(path, some)), "--prompt", PROMPT, *server, *size)
            assert result.exit_code == 0, result.output
            assert ("answers that differ in spelling only are one: 'Bad' (" in result.output) == (some is rows)
            scores.append(results_in(run_of(result))["performance_history"][0]["score"])
    assert scores[0] == scores[1] > 0.5


@pytest.mark.parametrize("more", [("--labels", ""), ("--judge", "reference")])
def test_texts_stay_as_they_were_written_and_nothing_is_said_of_their_spellings(
    more: tuple[str, ...], tmp_path: Path
) -> None:
    rows = [(text, label.capitalize() if n % 3 == 0 else label) for n, (text, label) in enumerate(rows_of(90))]
    path = written(tmp_path / "mail.csv", rows)
    assert "answers that differ in spelling only are one" in estimated(path).output
    result = estimated(path, *more)
    assert result.exit_code == 4, result.output
    assert "answers that differ in spelling" not in result.output


def test_no_labels_at_all_are_texts_in_the_run_too(tmp_path: Path) -> None:
    path = written(tmp_path / "mail.csv", list(ITEMS.items()))
    with serving(Model(ITEMS)) as url:
        server = ("--provider", "openai", "--base-url", url, "--model", "any", "--data-folder", str(tmp_path / "data"))
        size = ("--samples", "40", "--gate-samples", "20", "--calls", "200", "--iterations", "0", "--yes")
        result = asked("evolve", str(path), "--prompt", PROMPT, *server, *size, "--labels", "")
    assert result.exit_code == 0, result.output
    log = [json.loads(line) for line in (run_of(result) / "log.jsonl").read_text().splitlines()]
    assert [event["config"]["labels"] for event in log if event["kind"] == "started"] == [[]]
    assert results_in(run_of(result))["scoring"] == "text"


def test_one_column_for_both_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "mail.csv", rows_of(90))
    columns = ("--input-column", "expected", "--expected-column", "expected")
    result = estimated(path, *columns)
    assert result.exit_code == 1
    assert "--input-column and --expected-column are both 'expected'" in result.output
    result = asked("data", "card", str(path), *columns)
    assert result.exit_code == 1
    assert (
        "'expected' is named as the column of the input and of the expected answer; they must be two" in result.output
    )


def test_the_card_goes_by_the_same_rules_as_a_run(tmp_path: Path) -> None:
    rows = [
        ("Win now", "spam"),
        ("win now!", "ham"),
        ("Hello", "ham"),
        ("hello", "Ham "),
        ("Bye", "ham"),
        ("So", "spam"),
    ]
    text = asked("data", "card", str(written(tmp_path / "mail.csv", rows))).output
    for said in (
        "4 different inputs; 2 rows repeat one",
        "**1 input stands there with different answers: in a run one of them counts**",
        "labels: ham 4 (66.7%), spam 2 (33.3%); always the most frequent one: 0.667",
        "labels in several spellings, which count as the labels above: 'Ham ' (1)",
    ):
        assert said in text


def test_the_header_says_how_many_fresh_items_decide_and_which_calls_would_reach_all(tmp_path: Path) -> None:
    path = written(tmp_path / "mail.csv", rows_of(200))
    few = " ".join(estimated(path, "--samples", "20", "--gate-samples", "20", "--calls", "80").output.split())
    assert "20 fresh ones are there; the calls reach 13 of them (--calls 120 would reach 20)" in few
    assert "13 fresh items for one finalist" in few
    more = " ".join(estimated(path, "--samples", "20", "--gate-samples", "20", "--calls", "120").output.split())
    assert "20 fresh ones to decide on" in more
    assert "20 fresh items for one finalist" in more


def test_a_price_of_tokens_is_said_before_anything_is_spent(tmp_path: Path) -> None:
    path = written(tmp_path / "mail.csv", rows_of(200))
    said = " ".join(estimated(path, "--tokens-price", "0.05").output.split())
    assert "price 1,000 more tokens a call must bring 5 points (--tokens-price 0.05)" in said
    assert "(--tokens-price" not in estimated(path).output


def test_a_number_out_of_its_range_is_a_wrong_command_line(tmp_path: Path) -> None:
    path = written(tmp_path / "mail.csv", rows_of(200))
    result = estimated(path, "--alpha", "2")
    assert result.exit_code == 2
    assert "--alpha" in result.output
