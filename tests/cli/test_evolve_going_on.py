"""A search by command that is cut off, by a kill, by Ctrl-C or by a model that is silent, goes on to the same end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.evolving import asked, calls_of, results_in, run_of, words
from tests.services.evolver.loopback import Model

ROOT = Path(__file__).parent.parent.parent


def test_a_run_that_was_cut_off_is_listed_as_open(table: Path, model: tuple[Model, str]) -> None:
    run = run_of(asked(*words(table, model[1], "--yes", "--iterations", "1")))
    lines = (run / "log.jsonl").read_bytes().splitlines(keepends=True)
    (run / "log.jsonl").write_bytes(b"".join(lines[:20]))
    shown = asked("runs", "show", run.name, "--data-folder", str(table.parent / "data")).output
    assert f"{run.name}: open" in shown
    assert "replies so far; go on with --resume" in shown


@pytest.fixture
def at_work(table: Path) -> Iterator[Any]:
    """Starts the command as a process that can be killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*said: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", "from meta_learning.cli import main; main()", *said]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared"), "COLUMNS": "160"}
        process = subprocess.Popen(
            program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.stdout is not None and not process.stdout.closed:
            process.kill()
            process.communicate()


def recorded(run: Path) -> int:
    """How many replies a run's log holds, whole."""
    lines = (run / "log.jsonl").read_bytes().splitlines(keepends=True)
    return sum(line.endswith(b"\n") and b'"kind": "reply"' in line for line in lines)


def test_a_run_killed_again_and_again_ends_the_same_and_pays_for_no_recorded_call_twice(
    table: Path, model: tuple[Model, str], at_work: Any
) -> None:
    known, url = model
    unbroken = asked(*words(table, url, "--yes", "--no-cache"))
    wanted, count = results_in(run_of(unbroken)), len(known.asked)
    known.asked.clear()
    known.delay_s = 0.01
    data = ("--data-folder", str(table.parent / "data"))
    process = at_work(*words(table, url, "--yes", "--no-cache"))
    known.wait_for_requests(30)
    process.kill()
    said = process.communicate()[0]
    run = Path(re.search(r"in (\S+)$", said, re.M)[1])  # type: ignore[index]
    before = recorded(run)
    known.asked.clear()
    process = at_work("evolve", "--resume", run.name, *data)
    known.wait_for_requests((count - before) // 2)
    process.kill()
    process.communicate()
    between = recorded(run)
    known.asked.clear()
    known.delay_s = 0.0
    result = asked("evolve", "--resume", run.name, *data)
    assert result.exit_code == 0, result.output
    assert 0 < before < between < count
    # Each life finds out anew that the server refuses log-probabilities, unless it never asks for them again.
    assert count - 1 - between <= len(known.asked) <= count - between
    assert results_in(run) == wanted


def test_ctrl_c_leaves_a_run_that_goes_on_to_the_same_end(table: Path, model: tuple[Model, str], at_work: Any) -> None:
    known, url = model
    wanted = results_in(run_of(asked(*words(table, url, "--yes", "--no-cache", "--iterations", "1"))))
    known.asked.clear()
    known.delay_s = 0.02
    process = at_work(*words(table, url, "--yes", "--no-cache", "--iterations", "1"))
    known.wait_for_requests(60)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 130, said
    name = re.search(r"go on with: meta-learning evolve --resume (\S+)", said)
    assert name, said
    run = table.parent / "data" / "evolutions" / name[1]
    # Whatever was on its way came home and is recorded.
    assert recorded(run) == len(known.asked) - 1
    assert asked("evolve", "--resume", name[1], "--data-folder", str(table.parent / "data")).exit_code == 0
    assert results_in(run) == wanted


def test_a_finished_run_is_shown_again_without_a_call(table: Path, model: tuple[Model, str]) -> None:
    first = asked(*words(table, model[1], "--yes", "--iterations", "1"))
    paid = len(model[0].asked)
    again = asked("evolve", "--resume", run_of(first).name, "--data-folder", str(table.parent / "data"))
    assert again.exit_code == 0
    assert again.output.splitlines()[-1] == first.output.splitlines()[-1]
    assert len(model[0].asked) == paid


def test_a_model_that_does_not_answer_ends_with_three_and_the_run_goes_on_later(
    table: Path, model: tuple[Model, str]
) -> None:
    known, url = model
    known.down = True
    result = asked(*words(table, url, "--yes", "--iterations", "1", "--patience", "0"))
    assert result.exit_code == 3, result.output
    name = re.search(r"--resume (\S+)", result.output)
    known.down = False
    assert name
    resumed = asked("evolve", "--resume", name[1], "--data-folder", str(table.parent / "data"))
    assert resumed.exit_code == 0
    rows = calls_of(run_of(resumed))
    # The outage is in the table of calls, and no answer counted as wrong for it.
    assert {row["error"] for row in rows} == {"", "LLMUnavailable", "ParameterRefused"}


def test_two_processes_do_not_work_on_one_run(table: Path, model: tuple[Model, str], at_work: Any) -> None:
    known, url = model
    known.delay_s = 0.05
    process = at_work(*words(table, url, "--yes", "--no-cache"))
    known.wait_for_requests(10)
    (run,) = (table.parent / "data" / "evolutions").iterdir()
    result = asked("evolve", "--resume", run.name, "--data-folder", str(table.parent / "data"))
    process.kill()
    assert result.exit_code == 1
    assert "another process works on run" in result.output
