"""The real trackers, really run, with no network: each in a process of its own, read back by its own library."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
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
def test_tensorboard_has_the_scalars_by_step_and_the_texts(tmp_path: Path) -> None:
    needs("tensorboardX")
    run(LOGGED, str(tmp_path), "tensorboard")
    assert "sink_failed" not in records(tmp_path)
    scalars, texts = read_tensorboard(next((tmp_path / "tensorboard").rglob("events.*")).read_bytes())
    assert scalars == {("accuracy", 1): 0.25, ("accuracy", 2): 0.5, ("accuracy", 3): 0.75}
    assert texts["events/text_summary"] == "convergence: no gain"
    assert json.loads(texts["summary/text_summary"].strip("`\n")) == {"accuracy": 0.75, "outcome": "improved"}
    assert json.loads(texts["config/text_summary"].strip("`\n"))["budget"] == {"calls": 30}


def read_tensorboard(content: bytes) -> tuple[dict[tuple[str, int], float], dict[str, str]]:
    """Scalars by name and step, and texts by name, out of an event file: records of length, checksum, event, checksum."""
    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    scalars, texts, at = dict[tuple[str, int], float](), dict[str, str](), 0
    while at < len(content):
        (size,) = struct.unpack("<Q", content[at : at + 8])
        body = content[at + 12 : at + 12 + size]
        masked = ((crc32c(body) >> 15 | crc32c(body) << 17) + 0xA282EAD8) & 0xFFFFFFFF
        assert struct.unpack("<I", content[at + 12 + size : at + 16 + size]) == (masked,)
        event, at = Event.FromString(body), at + 16 + size
        for value in event.summary.value:
            if value.HasField("tensor"):
                texts[value.tag] = value.tensor.string_val[0].decode()
            else:
                scalars[value.tag, event.step] = value.simple_value
    return scalars, texts
