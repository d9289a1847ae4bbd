"""``meta-learning tune FILE``: better settings for a loop, for an evolution of prompts, or for asking one, by Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from meta_learning.cli.evolve.options import ApiKey
from meta_learning.cli.printing import printed, refuse, table_of
from meta_learning.cli.study import Data, Queue
from meta_learning.cli.study_tables import mean_of
from meta_learning.cli.tune_asking import tune_asking
from meta_learning.errors import MetaLearningError
from meta_learning.utils.logger import DATA_FOLDER

TUNINGS = "tunings"


def tune(
    file: Path,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes on this machine.")] = 1,
    redis_url: Queue = None,
    api_key: ApiKey = None,
    data_folder: Data = DATA_FOLDER,
) -> None:
    """Search the space of FILE (TOML or JSON), or go on with it; then judge the best on seeds or items that it was not chosen on."""
    # Here, not above: they load numerical libraries for seconds, which the other commands do not need.
    from meta_learning.experiments.grid import settings_of
    from meta_learning.experiments.progress import shown
    from meta_learning.experiments.queueing import QueueWorkers, connect
    from meta_learning.experiments.study import Workers
    from meta_learning.experiments.tuning.asking_config import KIND
    from meta_learning.experiments.tuning.config import TuningConfig
    from meta_learning.experiments.tuning.searching import Tuning
    from meta_learning.experiments.workers import OneProcess, Processes

    try:
        said = settings_of(file)
        if said.get("kind") == KIND:
            tune_asking(said, data_folder / TUNINGS, api_key)
            return
        config = TuningConfig.read(said)
        tuning = Tuning(config, data_folder / TUNINGS)
        at_work: Workers = OneProcess() if workers == 1 else Processes(workers)
        if redis_url:
            at_work = QueueWorkers(connect(redis_url))
        cells = len(config.seeds) * config.trials + 2 * len(config.judge_seeds)
        with shown(0, cells) as on_cell:
            report = tuning.run(at_work, on_cell)
    except MetaLearningError as error:
        refuse(error)
    _say(report)
    if report["errors"]:
        raise typer.Exit(1)


def _say(report: dict[str, Any]) -> None:
    for error in report["errors"]:
        typer.echo(f"not run: {error['cell']}: {error['error']}", err=True)
    if report["best"] is None:
        typer.echo(
            f"none of {report['trials_failed']} trials could be run: mend that, and the same command tries them again"
        )
    else:
        _say_found(report)
    typer.echo(f"report: {report['folder']}/report.json")


def _say_found(report: dict[str, Any]) -> None:
    names = list(report["best"]["settings"])
    table = table_of("trial", "score", *names)
    for one in sorted(report["trials"], key=lambda one: (-one["score"], one["trial"]))[:10]:
        table.add_row(str(one["trial"]), f"{one['score']:.4f}", *(_shown(one[name]) for name in names))
    printed(table)
    typer.echo(f"\ntrial 0 is the default; {len(report['trials'])} trials, {report['trials_failed']} failed")
    gain = report["gain"]
    typer.echo("on other seeds: " + ", ".join(f"{name} {mean_of(found)}" for name, found in report["judged"].items()))
    if gain["gain"] is None:
        typer.echo("the best cannot be compared with the default: no other seed could be run for both")
        return
    typer.echo(
        f"gain of the best over the default there: {gain['gain']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}), "
        f"p = {gain['p_value']:.3f} over {gain['pairs_count']} seeds"
    )


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
