"""An experiment's log says everything, to people and to programs, and survives what kills its writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from meta_learning.errors import CallerError, ConfigurationError, MalformedState, NotFound, StoreUnavailable
from meta_learning.utils import ExperimentLogger
from meta_learning.utils.runs import compare_runs, export_run, list_runs, read_run
from meta_learning.utils.sinks import open_sink
from meta_learning.utils.sinks.memory import MemorySink

KILLED = """
import os, sys
from meta_learning.utils import ExperimentLogger
log = ExperimentLogger("killed", folder=sys.argv[1], run_id="killed-1")
log.log_config({"seed": 3})
for number in range(1, 1_000_000):
    log.log_iteration(iteration=number, metrics={"score": number / 1_000_000})
    print(number, flush=True)
"""


def killed_run(folder: Path, after: int) -> int:
    """Start a run that logs without end, kill it in the middle, and return the last call that is known to have returned."""
    command = [sys.executable, "-c", KILLED, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "shared")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < after:
            pass
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")[:-1]
    return int(rest[-1]) if rest else after


def test_both_logs_are_complete_up_to_the_last_call_after_a_kill(tmp_path: Path) -> None:
    returned = killed_run(tmp_path, after=50)
    run = read_run("killed-1", tmp_path)
    numbers = [point["iteration"] for point in run.history]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) in (returned, returned + 1)  # one call may have written and not yet said so
    text = (run.folder / "log.txt").read_text().splitlines()
    assert sum("iteration" in line for line in text) in (len(numbers), len(numbers) - 1)
    assert all(
        line.endswith(f"score {number / 1_000_000:.4g}") for number, line in zip(numbers, text[2:], strict=False)
    )
    assert run.state == "open"


def test_a_killed_run_goes_on_under_its_id(tmp_path: Path) -> None:
    killed_run(tmp_path, after=3)
    with (tmp_path / "experiments/killed-1/log.jsonl").open("ab") as file:
        file.write(b'{"kind": "iteration", "iter')  # what a power cut leaves
    with ExperimentLogger("killed", folder=tmp_path, run_id="killed-1") as log:
        log.log_iteration(iteration=1, metrics={"score": 0.5})
        log.log_summary({"score": 0.5})
    run = read_run("killed-1", tmp_path)
    assert run.state == "finished"
    assert run.history[0]["score"] == 0.5
    assert len(run.history) >= 3
    assert len(run.manifest["started_at"]) == 2
    assert run.manifest["config"] == {"seed": 3}


def test_the_manifest_says_code_config_seeds_environment_and_data(tmp_path: Path) -> None:
    with ExperimentLogger("made", folder=tmp_path) as log:
        log.log_config({"seed": 3, "data_seed": 4, "budget": {"calls": 10}})
        log.log_data("search", [{"input": "a", "expected": "b"}])
        (tmp_path / "file.csv").write_bytes(b"a,b\n")
        log.log_data("file", tmp_path / "file.csv")
    manifest = json.loads((log.folder / "manifest.json").read_text())
    assert manifest["code"]["meta_learning"]
    assert set(manifest["code"]) == {"meta_learning", "commit", "uncommitted_changes"}
    assert manifest["config"]["budget"] == {"calls": 10}
    assert manifest["seeds"] == {"seed": 3, "data_seed": 4}
    assert manifest["environment"]["packages"]["numpy"] == np.__version__
    assert manifest["data"]["search"]["rows"] == 1
    assert len(manifest["data"]["file"]["sha256"]) == 64


def test_odd_values_are_logged_and_never_end_a_run(tmp_path: Path) -> None:
    with ExperimentLogger("odd", folder=tmp_path) as log:
        log.log_iteration(
            1, {"drift": None, "score": np.float32(0.5), "nan": float("nan"), "matrix": np.eye(2), "what": object}
        )
        log.log_event("said", "two\nlines and half an emoji \ud83d")
    run = list_runs(tmp_path)[0]
    assert run.history[0]["score"] == 0.5
    assert run.history[0]["matrix"] == [[1.0, 0.0], [0.0, 1.0]]
    assert run.history[0]["nan"] is None
    assert run.history[0]["drift"] is None
    assert "drift collecting" in (log.folder / "log.txt").read_text()
    assert len((log.folder / "log.txt").read_text().splitlines()) == 4


def test_an_error_inside_the_run_is_in_its_log(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ExperimentLogger("fails", folder=tmp_path) as log:
        log.log_iteration(1, {"score": 1 / 0})
    run = list_runs(tmp_path)[0]
    assert run.state == "failed"
    assert "division by zero" in (log.folder / "log.txt").read_text()


def test_a_closed_log_refuses(tmp_path: Path) -> None:
    log = ExperimentLogger("closed", folder=tmp_path)
    log.close()
    log.close()
    with pytest.raises(CallerError, match="closed"):
        log.log_event("late", "too late")


def test_runs_of_one_second_do_not_share_a_folder(tmp_path: Path) -> None:
    def clock() -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    logs = [ExperimentLogger("same", folder=tmp_path, clock=clock) for _ in range(3)]
    assert [log.run_id for log in logs] == ["same-20260102T030405", "same-20260102T030405-2", "same-20260102T030405-3"]
    for log in logs:
        log.close()


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="no name of a run"):
        ExperimentLogger("../elsewhere", folder=tmp_path)


def test_a_disk_that_refuses_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "experiments").write_text("a file in the way")
    with pytest.raises((StoreUnavailable, FileExistsError, NotADirectoryError)):
        ExperimentLogger("blocked", folder=tmp_path, run_id="blocked")


def test_a_dead_tracker_does_not_end_the_experiment(tmp_path: Path) -> None:
    dead, alive = MemorySink(failing_from=2), MemorySink()
    with ExperimentLogger("tracked", folder=tmp_path, sinks=[dead, alive]) as log:
        log.log_config({"seed": 1})
        log.log_iteration(1, {"score": 0.5, "drift": None})
        log.log_summary({"score": 0.5})
    assert [fact[0] for fact in alive.facts] == ["start", "config", "iteration", "summary"]
    assert alive.facts[2] == ("iteration", 1, {"score": 0.5})
    assert len(dead.facts) == 2
    assert alive.closed
    failed = [record for record in list_runs(tmp_path)[0].records if record.get("event") == "sink_failed"]
    assert failed[0]["message"] == "the tracker does not answer"


def test_runs_are_compared_where_they_differ(tmp_path: Path) -> None:
    for rate in (0.1, 0.2):
        with ExperimentLogger("rates", folder=tmp_path, run_id=f"r{rate}") as log:
            log.log_config({"rate": rate, "size": 3})
            log.log_iteration(1, {"accuracy": rate})
            log.log_summary({"outcome": "improved", "gain": rate})
    table = compare_runs(list_runs(tmp_path))
    assert table["rate"] == {"r0.1": 0.1, "r0.2": 0.2}
    assert "size" not in table
    assert table["last accuracy"] == {"r0.1": 0.1, "r0.2": 0.2}
    assert table["outcome"]["r0.2"] == "improved"


def test_a_run_is_exported_as_a_table_or_whole(tmp_path: Path) -> None:
    with ExperimentLogger("exported", folder=tmp_path, run_id="e1") as log:
        log.log_iteration(1, {"a": 1})
        log.log_iteration(2, {"a": 2, "b": None})
    run = read_run("e", tmp_path)
    assert export_run(run, "csv") == "iteration,a,b\n1,1,\n2,2,\n"
    assert json.loads(export_run(run, "json"))["history"] == run.history
    with pytest.raises(NotFound, match="csv, json"):
        export_run(run, "xml")


def test_a_run_that_is_not_there_and_a_log_that_was_edited_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing"):
        read_run("nothing", tmp_path)
    with ExperimentLogger("edited", folder=tmp_path, run_id="e1") as log:
        pass
    path = log.folder / "log.jsonl"
    path.write_bytes(b"garbage\n" + path.read_bytes())
    with pytest.raises(MalformedState, match="line 1"):
        read_run("e1", tmp_path)


def test_an_unknown_tracker_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="mlflow, tensorboard, wandb"):
        open_sink("comet", tmp_path)
