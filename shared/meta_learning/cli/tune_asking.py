"""``meta-learning tune`` on a file of kind ``asking``: temperature, examples and model with which a prompt is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from meta_learning.cli.printing import printed, table_of

SHOWN_COUNT = 10


def tune_asking(said: Mapping[str, Any], root: Path, api_key: str | None) -> None:
    """Search, or go on; then decide on fresh items.

    Raises:
        MetaLearningError: the settings are wrong, or the model does not answer.
    """
    # Here, not above: Optuna and the data sets load for seconds, which the other commands do not need.
    from meta_learning.experiments.loading import dataset_of
    from meta_learning.experiments.tuning.asking_config import AskingConfig
    from meta_learning.experiments.tuning.asking_search import AskingSearch
    from meta_learning.llm import LLM, connect
    from meta_learning.registry.runs import FileRunStore

    config = AskingConfig.read(said)
    loader, folder = dataset_of(config.dataset), root / config.id

    def connected(model_name: str | None) -> LLM:
        return connect(config.model.provider, model_name, config.model.base_url, api_key)

    search = AskingSearch(config, connected, FileRunStore(folder), on_trial=_say_trial)
    _say(asyncio.run(search.run(lambda count: loader.get_samples(count, config.seed), folder)))


def _say_trial(trial: Mapping[str, Any]) -> None:
    settings = ", ".join(f"{name} {_shown(value)}" for name, value in trial["settings"].items())
    typer.echo(f"trial {trial['trial']}: {settings}: {trial['score']:.3f} on {trial['items']} items, {trial['state']}")


def _say(report: Mapping[str, Any]) -> None:
    names = list(report["default"])
    table = table_of("trial", "score", "items", "state", *names)
    for one in sorted(report["trials"], key=lambda one: (one["state"] != "complete", -one["score"]))[:SHOWN_COUNT]:
        told = (str(one["trial"]), f"{one['score']:.3f}", str(one["items"]), one["state"])
        table.add_row(*told, *(_shown(one["settings"][name]) for name in names))
    printed(table)
    typer.echo(f"\ntrial 0 is the default; {report['calls']:,} calls\n{report['outcome']}: {report['reason']}")
    chosen = ", ".join(f"{name} {_shown(value)}" for name, value in report["chosen"].items())
    typer.echo(f"ask with: {chosen}\nreport: {report['folder']}/report.json")


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
