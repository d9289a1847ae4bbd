"""`python -m services.trainer`: fold feedback into training cycles, gate, publish."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.models.choice import model_named
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.text_model import OnlineTextModel, warm_up
from meta_learning.registry.store import FileStore
from meta_learning.serving.logs import log_as_json
from meta_learning.serving.running import Work, exit_on_bad_settings, serve, stop_this_process
from meta_learning.serving.settings import Settings, read_settings
from meta_learning.streams import Limits
from meta_learning.streams.opening import open_log
from services.trainer.app import trainer_app
from services.trainer.archive import Archivist
from services.trainer.consumer import PartitionTrainer
from services.trainer.loops import Loops
from services.trainer.metrics import TrainerMetrics


class TrainerSettings(Settings):
    """The trainer's own settings."""

    trainer_port: int = Field(8002, ge=1, le=65535, description="Port of the health doors.")
    trainer_partitions: str = Field(
        "all", pattern=r"^(all|\d+(,\d+)*)$", description="`all`, or the partitions to own: `0,2`."
    )
    model: str = Field(
        "text",
        min_length=1,
        description="The model of new loops: `text`; `sgd`, `naive_bayes`, `network`; `estimator:sklearn.MODULE.CLASS`; `embedding` "
        "or `language` (each may take `:FOLDER`), which need an extra here and in ingest. Loops that exist keep theirs.",
    )
    trainer_batch_count_max: int = Field(500, ge=1, le=10_000, description="Entries folded into one commit at most.")
    loops_in_memory_max: int = Field(
        64, ge=1, description="Loops held ready a partition, at 5 to 25 MB each; others lie in their last state."
    )
    stream_keep_count: int = Field(
        10_000, ge=0, description="Folded entries a stream keeps before older ones are archived."
    )
    archive_every_s: float = Field(
        30.0, gt=0, description="How often the streams are looked at for archiving, in seconds."
    )

    def partitions(self) -> list[int]:
        """The partitions that this process is to own."""
        if self.trainer_partitions == "all":
            return list(range(self.partitions_count))
        return [int(part) for part in self.trainer_partitions.split(",")]

    @model_validator(mode="after")
    def _check_partitions(self) -> Self:
        owned = self.partitions()
        if len(set(owned)) < len(owned) or max(owned) >= self.partitions_count:
            raise ValueError(
                f"trainer_partitions {self.trainer_partitions} must name each partition once, from 0 to {self.partitions_count - 1}"
            )
        return self


def loops_of(settings: TrainerSettings, partition: int) -> Loops:
    """The loops of a partition, with their workspace and the registry under the data folder.

    Raises:
        ConfigurationError: the model of new loops is unknown, or what it needs is not here.
    """
    config = {
        "cycle_size": settings.cycle_size,
        "drift_threshold": settings.drift_threshold,
        "alignment_threshold": settings.alignment_threshold,
    }
    folder: Path = settings.data_folder
    # Made now, so that an unknown name or a missing extra stops the start. The features of the default model remember texts: each
    # loop has its own. What others share, an encoder or base weights, is held here for as long as the partition is.
    model = model_named(settings.model)
    own = None if isinstance(model, OnlineTextModel) else model
    return Loops(
        new=lambda name: ClosedLoopSystem(own, loop=name, **config),  # type: ignore[arg-type]
        restore=lambda name, state, get: ClosedLoopSystem.restore(
            state, get, loop=name, load=load_model if own is None else partial(load_model, like=own), **config
        ),
        workspace=lambda name: FileStore(folder / "trainer" / f"p{partition}" / name),
        registry=FileStore(folder / "registry"),
        loops_in_memory_max=settings.loops_in_memory_max,
    )


def main() -> None:
    """Read the settings, wire the trainer, serve until stopped."""
    settings = read_settings(TrainerSettings)
    log_as_json("trainer", settings.log_level)
    limits = Limits(
        backlog_count_max=settings.backlog_count_max,
        loops_count_max=settings.loops_count_max,
        identity_window_s=settings.identity_window_s,
    )
    log = open_log(settings.redis_url, settings.partitions_count, limits)
    metrics = TrainerMetrics()
    # Stable over restarts: the successor of a killed trainer takes its own leases up at once instead of waiting for them.
    owner = f"{socket.gethostname()}:{settings.trainer_port}"
    trainers = [
        PartitionTrainer(
            log.fold("trainer", number), loops_of(settings, number), metrics, owner, settings.trainer_batch_count_max
        )
        for number in settings.partitions()
    ]
    warm_up()  # compiling takes seconds at the first start on a machine: before the leases are taken, not while events wait
    archivist = Archivist(log, settings.data_folder / "archive", metrics, settings.stream_keep_count)
    archiving = partial(
        archivist.run, lambda: [trainer.partition for trainer in trainers if trainer.owned], settings.archive_every_s
    )
    app = trainer_app(log, trainers, archiving, metrics, Work(stop_this_process))
    serve(app, settings.host, settings.trainer_port)


if __name__ == "__main__":
    exit_on_bad_settings(main)
