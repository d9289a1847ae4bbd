"""What cannot be is said in one line before anybody agrees to spend, and what is paid for is not lost to a bad disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.evolving import ITEMS, PROMPT, asked, results_in, run_of, words
from tests.services.evolver.loopback import Model, serving

UNREACHABLE = "http://127.0.0.1:9/v1"


def test_a_folder_that_cannot_be_written_is_said_before_anybody_is_asked_to_spend(
    table: Path, model: tuple[Model, str]
) -> None:
    for folder in ("/proc/foo", str(table), str(table / "below")):
        result = asked(*words(table, model[1], "--data-folder", folder))
        assert result.exit_code == 1, result.output
        assert "cannot be written" in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert asked("evolve", "--resume", "20260101T000000", "--data-folder", folder).exit_code == 1
    assert model[0].asked == []


def test_what_was_paid_for_outlives_a_report_that_cannot_be_written(table: Path, model: tuple[Model, str]) -> None:
    run = run_of(asked(*words(table, model[1], "--yes", "--iterations", "1")))
    wanted = results_in(run)
    (run / "report").rename(run / "first")
    (run / "report").write_text("somebody's notes")
    paid = len(model[0].asked)
    data = ("--data-folder", str(table.parent / "data"))
    result = asked("evolve", "--resume", run.name, *data)
    assert result.exit_code == 1
    assert "in the place of the folder of the report: move it away\n" in result.stderr
    (run / "report").unlink()
    (run / "report" / "report.md").mkdir(parents=True)
    result = asked("evolve", "--resume", run.name, *data)
    assert result.exit_code == 1
    assert f"what was paid for is kept; go on with: meta-learning evolve --resume {run.name}" in result.stderr
    (run / "report" / "report.md").rmdir()
    assert asked("evolve", "--resume", run.name, *data).exit_code == 0
    assert results_in(run) == wanted
    assert len(model[0].asked) == paid


CANNOT_RUN = [
    (("--provider", "anthropic"), "needs a key: set ANTHROPIC_API_KEY"),
    (("--provider", "local", "--batch"), "local takes no batches"),
    (("--base-url", "notaurl"), "an address begins with http:// or https://"),
    (("--base-url", "http://"), "an address begins with"),
    (("--base-url", "http://host:port/v1"), "an address begins with"),
    (("--ensemble", "10"), "--ensemble is 10"),
    (("--strategy", "hope"), "--strategy: there is no 'hope'; there are performance_based, error_analysis"),
    (("--tokens-price", "2000"), "--tokens-price is 2000"),
    (("--labels", "good"), "--labels are ['good']"),
    (("--labels", "good,Good"), "--labels are ['good', 'Good'], spellings of one answer"),
    (("--labels", "good,"), "--labels are ['good', '']"),
    (("--labels", "good,fair"), "'bad' is expected of an item and is none of --labels good,fair"),
    (("--expected-column", "said"), "--input-column and --expected-column are both 'said'"),
    (("--layout", "foo"), "--layout is 'foo'; there are sentiment140, commonsense_qa"),
]


@pytest.mark.parametrize(("said", "word"), CANNOT_RUN, ids=[" ".join(said) for said, _ in CANNOT_RUN])
def test_what_cannot_run_is_refused_without_an_estimate(
    said: tuple[str, ...], word: str, table: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    server = ("--provider", "openai", "--model", "any") if "--provider" not in said else ()
    address = () if "--base-url" in said or not server else ("--base-url", UNREACHABLE)
    columns = ("--input-column", "said") + (() if "--expected-column" in said else ("--expected-column", "is"))
    prompt = () if "--layout" in said else ("--prompt", PROMPT)
    kept = tmp_path / "data"
    result = asked("evolve", str(table), *columns, *prompt, *server, *address, *said, "--data-folder", str(kept))
    assert result.exit_code == 1, result.output
    assert word in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "spend" not in result.output
    assert not kept.exists()


def test_answers_that_are_free_text_are_refused_without_an_estimate(tmp_path: Path) -> None:
    path = tmp_path / "free.jsonl"
    rows = ({"input": f"q {n}", "expected": f"it is on its way to you, number {n}"} for n in range(90))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    server = ("--provider", "openai", "--base-url", UNREACHABLE, "--model", "any")
    result = asked("evolve", str(path), "--prompt", PROMPT, *server, "--data-folder", str(tmp_path / "data"))
    assert result.exit_code == 1
    assert "are free text" in result.stderr
    assert "estimate" not in result.output


def test_an_order_that_is_garbage_is_one_line(table: Path, model: tuple[Model, str]) -> None:
    run = run_of(asked(*words(table, model[1], "--yes", "--iterations", "0")))
    for text in ("{garbage", '{"data": "x"}', '"\\ud800"'):
        (run / "order.json").write_text(text)
        result = asked("evolve", "--resume", run.name, "--data-folder", str(table.parent / "data"))
        assert result.exit_code == 1
        assert "order.json cannot be read: " in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "pydantic" not in result.stderr


def test_a_password_in_an_address_is_written_nowhere_and_said_again_to_go_on(table: Path) -> None:
    data = ("--data-folder", str(table.parent / "data"))
    with serving(Model(ITEMS)) as url:
        secret = url.replace("://", "://me:hidden@")
        run = run_of(asked(*words(table, secret, "--yes", "--iterations", "1")))
        wanted = results_in(run)
        kept = [path for path in (table.parent / "data").rglob("*") if path.is_file()]
        assert [path for path in kept if b"hidden" in path.read_bytes()] == []
        again = asked("evolve", "--resume", run.name, *data)
        assert again.exit_code == 1
        assert "were not written down: say --base-url again" in again.stderr
        other = asked("evolve", "--resume", run.name, *data, "--base-url", UNREACHABLE)
        assert other.exit_code == 1
        assert "begun with another --base-url" in other.stderr
        assert asked("evolve", "--resume", run.name, *data, "--base-url", secret).exit_code == 0
    assert results_in(run) == wanted
