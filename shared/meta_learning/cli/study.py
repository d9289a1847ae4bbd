"""A researcher's grids: ``study run FILE``, ``study work`` on any host that is to help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from meta_learning.cli.printing import refuse
from meta_learning.cli.study_tables import say
from meta_learning.errors import ConfigurationError, MetaLearningError
from meta_learning.utils.logger import DATA_FOLDER

app = typer.Typer(
    no_args_is_help=True, help="Grids of experiments: prompts on data sets, or closed loops with simulated users."
)
Data = Annotated[Path, typer.Option(envvar="META_LEARNING_DATA_FOLDER", help="Where studies and runs are kept.")]
Queue = Annotated[str | None, typer.Option("--redis-url", help="Spread the cells over the workers of this broker.")]
OWN = "own"


@app.command()
def run(
    file: Path,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes on this machine.")] = 1,
    redis_url: Queue = None,
    services: Annotated[
        str | None,
        typer.Option(
            help="Send the loops through a running system: http://HOST, http://INGEST,http://MONITOR, or `own`."
        ),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Also draw the report as one HTML page.")] = True,
    data_folder: Data = DATA_FOLDER,
) -> None:
    """Run the grid of FILE (TOML or JSON), or go on with it, and say what it found."""
    # Here, not above: they load numerical libraries for seconds, which the other commands do not need.
    from meta_learning.experiments.kinds import read_study
    from meta_learning.experiments.progress import shown
    from meta_learning.experiments.queueing import QueueWorkers, connect
    from meta_learning.experiments.runner import STUDIES, ExperimentRunner
    from meta_learning.experiments.study import Study

    try:
        config = _served(read_study(file), services)
        study = Study(config, data_folder / STUDIES)
        if getattr(config, "services", False):
            if redis_url:
                raise ConfigurationError("workers of a queue do not reach the services: leave --redis-url out")
            through = services if services not in (None, OWN) else f"a system of its own, in {study.folder / 'system'}"
            typer.echo(f"through the services: {through}", err=True)
        with shown(*study.counts) as on_cell:
            at_work = QueueWorkers(connect(redis_url)) if redis_url else workers
            report = ExperimentRunner(folder=data_folder).run_study(
                config, at_work, on_cell, services if services != OWN else None
            )
    except MetaLearningError as error:
        refuse(error)
    say(report)
    typer.echo(f"\nreport: {report['folder']}/report.json")
    if figures:
        _draw(report)
    if report["errors"]:
        raise typer.Exit(1)


@app.command()
def work(
    redis_url: Annotated[str, typer.Option("--redis-url", envvar="REDIS_URL", help="The broker of the queue.")],
    burst: Annotated[bool, typer.Option(help="End when the queue is empty.")] = False,
) -> None:
    """Run cells of any study that is put on the broker's queue, until SIGTERM."""
    from meta_learning.experiments.queueing import work as work_on_cells

    try:
        work_on_cells(redis_url, burst)
    except MetaLearningError as error:
        refuse(error)


def _served(config: Any, services: str | None) -> Any:
    """The study as its file says, or with its loops in a running system."""
    from meta_learning.experiments.loops.config import LoopStudyConfig
    from meta_learning.experiments.loops.served import Doors

    if services is None:
        return config
    if services != OWN:
        Doors.at(services)
    if not isinstance(config, LoopStudyConfig):
        raise ConfigurationError("--services is for studies of feedback loops: the others ask no service")
    return LoopStudyConfig.read(config.model_dump() | {"services": True})


def _draw(report: dict[str, Any]) -> None:
    """Where figures are not installed, the numbers are all there without them."""
    from meta_learning.utils import MetaLearningVisualizer

    try:
        page = MetaLearningVisualizer(report["folder"]).create_dashboard(report, "report")
    except ConfigurationError as missing:
        typer.echo(f"no figures: {missing}")
    else:
        typer.echo(f"figures: {page}")
