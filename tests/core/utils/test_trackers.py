"""The real trackers, really run, with no network: each in a process of its own, read back by its own library."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOGGED = """
import sys
from pathlib import Path
from meta_learning.utils import ExperimentLogger
from meta_learning.utils.sinks import open_sink
folder, tracker = Path(sys.argv[1]), sys.argv[2]
sink = open_sink(tracker, folder)
with ExperimentLogger("tracked", folder=folder, run_id="tracked-1", sinks=[sink]) as log:
    log.log_config({"seed": 7, "budget": {"calls": 30}})
    for number in (1, 2, 3):
        log.log_iteration(number, {"accuracy": number / 4, "drift": None})
    log.log_event("convergence", "no gain")
    log.log_summary({"accuracy": 0.75, "outcome": "improved"})
"""
READ_MLFLOW = """
import json, mlflow, sys
client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}/mlflow.db")
run = client.search_runs([client.get_experiment_by_name("tracked").experiment_id])[0]
steps = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "accuracy")]
print(json.dumps([run.info.status, run.data.params, steps, run.data.metrics, run.data.tags]))
"""


def run(program: str, *arguments: str, **environment: str) -> str:
    # Home is elsewhere, and every proxy leads nowhere: what reached for the network would fail or be seen.
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "shared"), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package} is not installed: it is an extra")


def records(folder: Path) -> list[str]:
    lines = (folder / "experiments/tracked-1/log.jsonl").read_text().splitlines()
    return [json.loads(line).get("event", "") for line in lines]


@pytest.mark.slow
def test_mlflow_has_the_run_in_its_own_file(tmp_path: Path) -> None:
    needs("mlflow")
    run(LOGGED, str(tmp_path), "mlflow", HOME=str(tmp_path), MLFLOW_DISABLE_TELEMETRY="true")
    status, params, steps, metrics, tags = json.loads(
        run(READ_MLFLOW, str(tmp_path), HOME=str(tmp_path)).splitlines()[-1]
    )
    assert status == "FINISHED"
    assert params == {"seed": "7", "budget.calls": "30"}
    assert steps == [[1, 0.25], [2, 0.5], [3, 0.75]]
    assert metrics["summary.accuracy"] == 0.75
    assert tags["event.0001"] == "convergence: no gain"
    assert tags["summary.outcome"] == "improved"
    assert "sink_failed" not in records(tmp_path)


@pytest.mark.slow
def test_weights_and_biases_has_the_run_offline(tmp_path: Path) -> None:
    needs("wandb")
    run(LOGGED, str(tmp_path), "wandb", HOME=str(tmp_path))
    assert "sink_failed" not in records(tmp_path)
    transaction = next((tmp_path / "wandb").rglob("run-*.wandb")).read_bytes()
    for told in (b"tracked-1", b"accuracy", b"convergence", b"improved"):
        assert told in transaction


@pytest.mark.slow
def test_tensorboard_has_the_scalars(tmp_path: Path) -> None:
    needs("tensorboardX")
    run(LOGGED, str(tmp_path), "tensorboard")
    assert "sink_failed" not in records(tmp_path)
    events = next((tmp_path / "tensorboard").rglob("events.*")).read_bytes()
    assert events.count(b"accuracy") >= 3
    assert b"convergence: no gain" in events
