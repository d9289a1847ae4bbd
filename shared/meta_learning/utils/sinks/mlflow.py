"""MLflow: runs in any tracking store; by default an SQLite file, which ``mlflow ui --backend-store-uri`` opens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_learning.utils.sinks import RunStarted, flat, imported

PARAM_CHARS_MAX = 6000  # MLflow's own limit on a parameter
TAG_CHARS_MAX = 5000


class MLflowSink:
    """Params from the config, metrics by step, events and summary as tags and metrics. Uses the client, never global state.

    Raises:
        ConfigurationError: the package mlflow is not installed.
    """

    name = "mlflow"

    def __init__(self, tracking_uri: str) -> None:
        self._mlflow = imported("mlflow", "mlflow")
        self.tracking_uri = tracking_uri
        self.mlflow_run_id: str | None = None
        self._client: Any = None
        self._events = 0
        self._closed = False

    def start(self, run: RunStarted) -> None:
        """Find or make the experiment; go on with the run of this id, or start it."""
        if self.tracking_uri.startswith("sqlite:///"):
            Path(self.tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self._client = self._mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        experiment = self._client.get_experiment_by_name(run.experiment)
        experiment_id = experiment.experiment_id if experiment else self._made(run)
        found = self._client.search_runs([experiment_id], f"tags.run_id = '{run.run_id}'")
        opened = found[0] if found else self._client.create_run(experiment_id, run_name=run.run_id)
        self.mlflow_run_id = opened.info.run_id
        self._client.set_tag(self.mlflow_run_id, "run_id", run.run_id)

    def config(self, config: Mapping[str, Any]) -> None:
        """One parameter a setting; long ones are cut."""
        for name, value in flat(config).items():
            self._client.log_param(self.mlflow_run_id, name, str(value)[:PARAM_CHARS_MAX])

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """One metric a number, at this step."""
        for name, value in metrics.items():
            self._client.log_metric(self.mlflow_run_id, name, value, step=iteration)

    def event(self, kind: str, message: str) -> None:
        """A tag an event, in order."""
        self._events += 1
        self._client.set_tag(self.mlflow_run_id, f"event.{self._events:04d}", f"{kind}: {message}"[:TAG_CHARS_MAX])

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Numbers as metrics named ``summary.…``, the rest as tags."""
        for name, value in flat(summary).items():
            if isinstance(value, int | float):
                self._client.log_metric(self.mlflow_run_id, f"summary.{name}", float(value))
            elif value is not None:
                self._client.set_tag(self.mlflow_run_id, f"summary.{name}", str(value)[:TAG_CHARS_MAX])

    def artifact(self, path: Path) -> None:
        """Copy a file into the store of artifacts."""
        self._client.log_artifact(self.mlflow_run_id, str(path))

    def close(self) -> None:
        """Mark the run as finished."""
        if self._client is not None and not self._closed:
            self._client.set_terminated(self.mlflow_run_id)
        self._closed = True

    def _made(self, run: RunStarted) -> str:
        # Beside the runs, whatever the working folder is: MLflow's own default is ./mlruns.
        artifacts = (run.folder.parent.parent / "mlflow_artifacts").absolute().as_uri()
        local = self.tracking_uri.startswith("sqlite:///")
        return str(self._client.create_experiment(run.experiment, artifact_location=artifacts if local else None))
