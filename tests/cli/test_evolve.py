"""`meta-learning evolve`, from the command line to the report, against a model at the end of a real HTTP path."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

import meta_learning
from tests.cli.evolving import ITEMS, PROMPT, SIZE, asked, calls_of, results_in, run_of, words
from tests.services.evolver.loopback import Model, serving


def test_a_better_prompt_is_found_shown_and_reported(table: Path, model: tuple[Model, str]) -> None:
    result = asked(*words(table, model[1], "--yes"))
    assert result.exit_code == 0, result.output
    before, _, after = result.output.partition("iteration 0")
    assert "power      " in before
    assert "for a true gain of 5 points" in before
    assert "up to 400 calls" in before
    assert "improved:" in after
    assert "+- Mind irony." in after or "+Mind irony." in after
    report = run_of(result) / "report"
    results = results_in(report.parent)
    assert results["outcome"] == "improved"
    assert (report / "prompt.txt").read_text().strip() == results["best_prompt"]
    page = (report / "report.md").read_text()
    assert page.startswith("# improved")
    assert "+Mind irony." in page or "+- Mind irony." in page
    if importlib.util.find_spec("matplotlib"):
        assert "![anytime](anytime.svg)" in page
        assert (report / "lineage.svg").stat().st_size > 1000
    rows = calls_of(report.parent)
    assert len(rows) == results["spent"]["calls"] == len(model[0].asked)
    assert {row["purpose"] for row in rows} == {"task", "proposer", "probe"}


def test_a_server_that_gives_log_probabilities_is_asked_for_one_token_and_scored_by_label(table: Path) -> None:
    known = Model(ITEMS, logprobs=True)
    with serving(known) as url:
        result = asked(*words(table, url.replace("://", "://me:hidden@"), "--yes", "--iterations", "1"))
    assert result.exit_code == 0, result.output
    shown = (run_of(result) / "report" / "report.md").read_text() + (run_of(result) / "made_with.json").read_text()
    listed = asked("runs", "show", run_of(result).name, "--data-folder", str(table.parent / "data")).output
    assert "://…@127" in listed
    assert "hidden" not in result.output + shown + listed
    results = results_in(run_of(result))
    assert results["scoring"] == "label_logprobs"
    assert results["spent"]["calls"] == len(known.asked)


class Leaning(Model):
    """Says "good" of everything, but hesitates where it is not."""

    def answer(self, messages: list[dict[str, str]]) -> str:
        return next((label for text, label in self.answers.items() if text in messages[-1]["content"]), "good")

    def alternatives(self, text: str) -> dict[str, Any]:
        told = [{"token": "good", "logprob": -0.1}, {"token": "bad", "logprob": -1.0 if text == "bad" else -4.0}]
        return {**told[0], "top_logprobs": told}


def test_weights_that_leave_the_text_as_it_is_are_said_to_be_what_is_new(table: Path) -> None:
    with serving(Leaning(ITEMS, logprobs=True)) as url:
        result = asked(*words(table, url, "--yes", "--iterations", "1"))
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "improved:" in said
    assert "6 tried, none better than the first prompt with thresholds; best 1.000" in said
    assert "the text of the prompt stays as it is weights on its labels belong to it: use" in said


def test_answers_that_are_all_the_same_are_said_before_anything_is_spent(tmp_path: Path) -> None:
    path = tmp_path / "same.csv"
    path.write_text("input,expected\n" + "".join(f"text {n},good\n" for n in range(90)))
    with serving(Model(ITEMS)) as url:
        server = ("--provider", "openai", "--base-url", url, "--model", "any", "--data-folder", str(tmp_path / "data"))
        result = asked("evolve", str(path), "--prompt", PROMPT, *server, *SIZE)
    assert result.exit_code == 4
    assert "every item expects 'good': whatever always says so is right" in result.output


def test_a_server_with_bad_habits_is_found_out_before_anything_is_concluded(table: Path) -> None:
    """One refuses instructions in a turn of their own, one drops them silently, one generates on whatever it is asked.

    Instructions of a chat template's own, where there are no others, are no bad habit.
    """
    told = {}
    for habit in ("refuses_system", "drops_system", "has_own_system", "generates_on"):
        bad = Model(ITEMS)
        setattr(bad, habit, True)
        with serving(bad) as url:
            result = asked(*words(table, url, "--yes", "--no-cache", "--iterations", "1"))
        assert result.exit_code == 0, result.output
        told[habit] = results_in(run_of(result))["endpoint"]
        assert all(row["error"] != "LLMUnavailable" for row in calls_of(run_of(result)))
        assert results_in(run_of(result))["outcome"] != "failed", result.output
    assert [told[habit]["system_role"] for habit in told] == [False, False, True, True]
    assert [told[habit]["keeps_max_tokens"] for habit in told] == [True, True, True, False]
    assert "generates more tokens than it is told to" in (run_of(result) / "report" / "report.md").read_text()


def test_answers_that_an_earlier_run_paid_for_are_not_asked_again_and_change_nothing(
    table: Path, model: tuple[Model, str]
) -> None:
    first = asked(*words(table, model[1], "--yes", "--iterations", "1"))
    paid = len(model[0].asked)
    again = asked(*words(table, model[1], "--yes", "--iterations", "1"))
    assert len(model[0].asked) == paid
    one, other = results_in(run_of(first)), results_in(run_of(again))
    assert other.pop("spent")["calls"] == 0
    assert one.pop("spent")["calls"] > 0
    assert one == other


def test_runs_are_listed_shown_compared_and_exported_with_the_other_runs(table: Path, model: tuple[Model, str]) -> None:
    runs = [run_of(asked(*words(table, model[1], "--yes", "--iterations", count))) for count in ("1", "2")]
    data = ("--data-folder", str(table.parent / "data"))
    listed = asked("runs", "list", *data).output
    assert all(run.name in listed for run in runs)
    assert listed.count("finished") == 2
    results = results_in(runs[0])
    shown = asked("runs", "show", runs[0].name, *data).output
    assert f"outcome {results['outcome']}" in shown
    assert "iterations 1" in shown
    assert f"meta_learning {meta_learning.__version__}" in shown
    assert "not recorded" not in shown
    assert "iterations" in asked("runs", "compare", runs[0].name, runs[1].name, *data).output
    exported = asked("runs", "export", runs[1].name, "--form", "csv", *data).output
    rows = list(csv.DictReader(exported.splitlines()))
    history = results_in(runs[1])["performance_history"]
    assert [float(row["score"]) for row in rows] == [point["score"] for point in history]


def test_a_budget_is_turned_into_calls_and_too_small_a_one_is_refused(table: Path, model: tuple[Model, str]) -> None:
    capped = asked(*words(table, model[1], "--tokens", "15000"))
    found = re.search(r"up to (\d+) calls, [\d,]+ to ([\d,]+) tokens", capped.output)
    assert found, capped.output
    assert 60 <= int(found[1]) < 400
    assert 14500 <= int(found[2].replace(",", "")) <= 15000
    assert "fewer than 60 decide nothing" in asked(*words(table, model[1], "--calls", "59")).output


def test_settings_that_are_said_reach_the_run(table: Path, model: tuple[Model, str]) -> None:
    said = {
        "--good-enough": 1.0,
        "--improvement": 0.1,
        "--answer-tokens": 40,
        "--reasoning-tokens": 128,
        "--children": 2,
    }
    more = [word for name, value in said.items() for word in (name, str(value))]
    result = asked(*words(table, model[1], "--yes", "--iterations", "0", *more, "--labels", "good, bad,unclear"))
    assert result.exit_code == 0, result.output
    log = [json.loads(line) for line in (run_of(result) / "log.jsonl").read_text().splitlines()]
    config = next(event["config"] for event in log if event["kind"] == "started")
    names = (
        "min_performance_threshold",
        "improvement_threshold",
        "answer_tokens",
        "reasoning_tokens",
        "children_count",
    )
    assert [config[name] for name in names] == list(said.values())
    assert config["labels"] == ["good", "bad", "unclear"]


def test_too_few_items_for_a_decision_are_said_before_anything_is_spent(table: Path, model: tuple[Model, str]) -> None:
    result = asked(*words(table, model[1], "--gate-samples", "19"))
    assert "decision   none: that takes 20 fresh items or more" in result.output


def test_nobody_is_both_searched_and_decided_on_and_too_few_groups_are_said_before_anything_is_spent(
    table: Path, model: tuple[Model, str]
) -> None:
    rows = [json.loads(line) for line in table.read_text().splitlines()]

    def grouped(groups_count: int) -> Any:
        lines = [json.dumps({**row, "thread": n % groups_count}) + "\n" for n, row in enumerate(rows)]
        table.write_text("".join(lines))
        return asked(*words(table, model[1], "--group-column", "thread"))

    found = re.search(r"(\d+) fresh ones to decide on, of (\d+) and (\d+) groups", " ".join(grouped(30).output.split()))
    assert found
    assert int(found[2]) + int(found[3]) <= 30
    few = grouped(4)
    assert few.exit_code == 1
    assert "no 20 items to decide on besides 40 to search on, of at least 6 groups" in few.output


def test_nothing_is_spent_without_consent(table: Path, model: tuple[Model, str]) -> None:
    result = asked(*words(table, model[1]))
    assert result.exit_code == 4
    assert "say --yes" in result.output
    assert model[0].asked == []
    assert not (table.parent / "data" / "evolutions").exists()


REFUSED = [
    (("nothing", "--prompt", "x"), 1, "no data set 'nothing'; give a CSV, TSV, JSONL or Parquet file, or one of"),
    (("--model", "gpt-4"), 1, "retired 'gpt-4'"),
    (("--model", "gpt-0"), 1, "no model 'gpt-0'"),
    (("--model", "gpt-6.2-sol", "--money", "1"), 1, "no price"),
    (("--provider", "nobody"), 1, "there are anthropic, openai, local"),
    (("--strategy", "hope"), 1, "performance_based"),
    (("--layout", "poem", "--prompt", "x"), 1, "layout"),
    (("--calls", "0"), 2, "--calls"),
    (("--calls", "60", "--samples", "40", "--gate-samples", "20"), 1, "fewer --samples or more --calls"),
    (("--resume", "20260101T000000", "--seed", "1"), 2, "leave out --seed"),
    (("--resume", "20260101T000000"), 1, "no run '20260101T000000'"),
    (("--resume", "../up"), 1, "no name of a run"),
]


@pytest.mark.parametrize(("said", "code", "word"), REFUSED, ids=[" ".join(said) for said, _, _ in REFUSED])
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_kept(
    said: tuple[str, ...], code: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    vendor = [] if "--provider" in said or "--resume" in said else ["--provider", "openai"]
    result = asked("evolve", *vendor, *said, "--data-folder", str(tmp_path / "data"))
    assert result.exit_code == code, result.output
    assert word in result.output.replace("\n", " ")
    assert not (tmp_path / "data").exists()


def test_a_parquet_file_is_a_data_set(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet is an extra")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "items.parquet"
    parquet.write_table(pyarrow.table({"input": list(ITEMS), "expected": list(ITEMS.values())}), path)
    known = Model(ITEMS)
    with serving(known) as url:
        server = ("--provider", "openai", "--base-url", url, "--model", "any", "--data-folder", str(tmp_path / "data"))
        result = asked("evolve", str(path), "--prompt", PROMPT, *server, *SIZE, "--iterations", "0", "--yes")
    assert result.exit_code == 0, result.output
    assert "40 items to search on, 50 fresh ones" in result.output


def test_a_floor_may_be_said_afterwards_and_takes_what_is_in_use_where_that_is_good_enough(
    table: Path, model: tuple[Model, str]
) -> None:
    run = run_of(asked(*words(table, model[1], "--yes")))
    better, paid = results_in(run), len(model[0].asked)
    data = ("--data-folder", str(table.parent / "data"))
    result = asked("evolve", "--resume", run.name, *data, "--floor", "0.4")
    assert result.exit_code == 0, result.output
    assert "by your floor: " in result.output
    assert re.search(r"^▸ \w{8} .* in use$", result.output, re.M), result.output
    assert "in use, taken" in (run / "report" / "report.md").read_text()
    assert "the prompt stays as it is" in result.output
    assert (run / "report" / "prompt.txt").read_text().strip() == PROMPT
    assert json.loads((run / "report" / "package.json").read_text())["voters"][0]["prompt"] == PROMPT
    asked("evolve", "--resume", run.name, *data)
    assert results_in(run) == better
    assert better["best_prompt"] != PROMPT
    assert len(model[0].asked) == paid
