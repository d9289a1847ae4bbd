"""A researcher's questions about recorded runs, as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.utils import ExperimentLogger


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for rate in (0.1, 0.2):
        with ExperimentLogger("rates", folder=tmp_path, run_id=f"rates-{rate}") as log:
            log.log_config({"rate": rate, "size": 3, "seed": 5})
            log.log_data("search", [{"input": "a", "expected": "b"}])
            log.log_iteration(1, {"accuracy": rate, "drift": None})
            log.log_event("convergence", "no gain [at all]")
            log.log_summary({"outcome": "improved"})
    return tmp_path


def asked(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    return result.output


def test_runs_are_listed(data: Path) -> None:
    lines = asked("runs", "list", "--data-folder", str(data)).splitlines()
    assert len(lines) == 3
    assert "rates-0.1" in lines[1]
    assert "finished" in lines[1]
    assert "accuracy 0.1" in lines[1]


def test_a_run_is_shown_with_what_made_it(data: Path) -> None:
    text = asked("runs", "show", "rates-0.2", "--data-folder", str(data))
    for part in (
        "rate 0.2",
        "seed 5",
        "search: 1 rows",
        "commit",
        "accuracy 0.2",
        "drift —",
        "no gain [at all]",
        "improved",
    ):
        assert part in text


def test_runs_are_compared(data: Path) -> None:
    text = asked("runs", "compare", "rates-0.1", "rates-0.2", "--data-folder", str(data))
    assert "rate " in text
    assert "size" not in text


def test_a_run_is_exported_to_a_file(data: Path) -> None:
    path = data / "run.json"
    asked("runs", "export", "rates-0.1", "--to", str(path), "--data-folder", str(data))
    assert json.loads(path.read_text())["history"] == [{"iteration": 1, "accuracy": 0.1, "drift": None}]
    assert asked("runs", "export", "rates-0.1", "--form", "csv", "--data-folder", str(data)).startswith(
        "iteration,accuracy"
    )


def test_a_run_that_is_not_there_is_refused_in_one_line(data: Path) -> None:
    result = CliRunner().invoke(app, ["runs", "show", "nothing", "--data-folder", str(data)])
    assert result.exit_code == 1
    assert "none begins with 'nothing'" in result.output


def test_what_there_is_nothing_of_is_said(tmp_path: Path, data: Path) -> None:
    assert f"no run under {tmp_path / 'empty'} yet" in asked("runs", "list", "--data-folder", str(tmp_path / "empty"))
    result = CliRunner().invoke(app, ["runs", "compare", "rates-0.1", "rates-0.1", "--data-folder", str(data)])
    assert (result.exit_code, "name two runs or more" in result.output) == (1, True)


def test_an_export_makes_its_folder(data: Path) -> None:
    path = data / "new" / "run.csv"
    asked("runs", "export", "rates-0.1", "--form", "csv", "--to", str(path), "--data-folder", str(data))
    assert path.read_text().splitlines()[0] == "iteration,accuracy,drift"
