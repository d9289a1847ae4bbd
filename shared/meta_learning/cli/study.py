"""A researcher's grids: ``study run FILE``, ``study work`` on any host that is to help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from meta_learning.cli.printing import printed, refuse, table_of
from meta_learning.errors import MetaLearningError
from meta_learning.utils.logger import DATA_FOLDER

app = typer.Typer(no_args_is_help=True, help="Grids of experiments: data sets x models x strategies x seeds x budgets.")
Data = Annotated[Path, typer.Option(envvar="META_LEARNING_DATA_FOLDER", help="Where studies and runs are kept.")]
Queue = Annotated[str | None, typer.Option("--redis-url", help="Spread the cells over the workers of this broker.")]


@app.command()
def run(
    file: Path,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes on this machine.")] = 1,
    redis_url: Queue = None,
    data_folder: Data = DATA_FOLDER,
) -> None:
    """Run the grid of FILE (TOML or JSON), or go on with it, and say what it found."""
    # Here, not above: they load numerical libraries for seconds, which the other commands do not need.
    from meta_learning.experiments.config import StudyConfig
    from meta_learning.experiments.progress import shown
    from meta_learning.experiments.queueing import QueueWorkers, connect
    from meta_learning.experiments.runner import STUDIES, ExperimentRunner
    from meta_learning.experiments.study import Study

    try:
        config = StudyConfig.read(file)
        study = Study(config, data_folder / STUDIES)
        with shown(*study.counts) as on_cell:
            at_work = QueueWorkers(connect(redis_url)) if redis_url else workers
            report = ExperimentRunner(folder=data_folder).run_study(config, at_work, on_cell)
    except MetaLearningError as error:
        refuse(error)
    _say(report)
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


def _say(report: dict[str, Any]) -> None:
    for name, group in report["groups"].items():
        typer.echo(f"\n{name}")
        table = table_of("arm", "score", "95 % interval", "items", "seeds", "calls", "outcomes")
        for arm in group["arms"]:
            interval = f"{arm['low']:.3f} to {arm['high']:.3f}"
            row = (f"{arm['score']:.3f}", interval, str(arm["items"]), str(arm["seeds"]), f"{arm['calls_mean']:,.0f}")
            table.add_row(arm["arm"], *row, arm["outcomes"])
        printed(table)
        for title, found in (("against baselines", group["comparisons"]), ("strategies", group["strategies"])):
            if found:
                typer.echo(f"\n{title} (paired on the same items, corrected for their number)")
                printed(_compared(found))
    for error in report["errors"]:
        typer.echo(f"not run: {error['cell']}: {error['error']}", err=True)
    typer.echo(f"\nreport: {report['folder']}/report.json")


def _compared(found: list[dict[str, Any]]) -> Any:
    table = table_of("arm", "against", "points", "95 % interval", "p", "power for 5 points")
    for one in found:
        interval = f"{100 * one['low']:+.1f} to {100 * one['high']:+.1f}"
        power = f"{100 * one['power_for_5_points']:.0f} %"
        table.add_row(
            one["arm"], one["against"], f"{100 * one['gain']:+.1f}", interval, f"{one['p_adjusted']:.3f}", power
        )
    return table
