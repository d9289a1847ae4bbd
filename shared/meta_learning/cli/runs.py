"""What a researcher asks about recorded runs: ``runs list``, ``runs show RUN``, ``runs compare RUN RUN``, ``runs export RUN``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from meta_learning.cli.printing import printed, refuse, table_of
from meta_learning.errors import CallerError, MetaLearningError
from meta_learning.utils.lines import write_whole
from meta_learning.utils.logger import DATA_FOLDER
from meta_learning.utils.runs import compare_runs, export_run, list_runs, read_run

app = typer.Typer(no_args_is_help=True, help="Experiments that were logged on this machine.")
Data = Annotated[Path, typer.Option(envvar="META_LEARNING_DATA_FOLDER", help="Where the runs are kept.")]
SHOWN_COUNT = 12


class Form(StrEnum):
    """What a run is exported as."""

    JSON = "json"
    CSV = "csv"


@app.command("list")
def list_all(data_folder: Data = DATA_FOLDER) -> None:
    """Every run, oldest first: state, how far it got, and its last numbers."""
    table = table_of("run", "started", "state", "iterations", "last")
    found = _asked(lambda: list_runs(data_folder))
    if not found:
        typer.echo(f"no run under {data_folder} yet (--data-folder says where to look)")
        return
    for run in found:
        last = {name: value for name, value in (run.history or [{}])[-1].items() if name != "iteration"}
        started = run.manifest["started_at"][0][:19].replace("T", " ")
        table.add_row(run.run_id, started, run.state, str(len(run.history)), escape(_short(last)))
    printed(table)


@app.command()
def show(run_id: str, data_folder: Data = DATA_FOLDER) -> None:
    """Settings, data, code, the last iterations and the result of RUN_ID (or of the one run whose id begins so)."""
    run = _asked(lambda: read_run(run_id, data_folder))
    code, made_on = run.manifest["code"], run.manifest["environment"]
    dirty = " with uncommitted changes" if code["uncommitted_changes"] else ""
    typer.echo(f"{run.run_id}: {run.state}, in {run.folder}")
    typer.echo(f"code      meta_learning {code['meta_learning']}, commit {code['commit'] or 'unknown'}{dirty}")
    typer.echo(f"made on   Python {made_on['python']}, {made_on['platform']}, {made_on['cpus_count']} CPUs")
    typer.echo(f"config    {_short(run.manifest['config'])}")
    typer.echo(f"seeds     {_short(run.manifest['seeds'])}")
    for name, data in run.manifest["data"].items():
        typer.echo(f"data      {name}: {data['rows'] or '?'} rows, sha256 {data['sha256'][:16]}")
    for point in run.history[-SHOWN_COUNT:]:
        typer.echo(f"{point['iteration']:>9}  {_short({k: v for k, v in point.items() if k != 'iteration'})}")
    for record in run.records:
        if record["kind"] == "event":
            typer.echo(f"event     {record['event']}: {record['message']}")
    if run.summary:
        typer.echo(f"summary   {_short(run.summary)}")


@app.command()
def compare(run_ids: list[str], data_folder: Data = DATA_FOLDER) -> None:
    """Where two or more runs differ: settings, data, code, last numbers and results."""
    if len(set(run_ids)) < 2:
        refuse(CallerError("name two runs or more to compare; `meta-learning runs list` has them"))
    runs = _asked(lambda: [read_run(run_id, data_folder) for run_id in run_ids])
    table = table_of("", *(run.run_id for run in runs))
    for name, row in compare_runs(runs).items():
        table.add_row(escape(name), *(escape(_value(row.get(run.run_id))) for run in runs))
    printed(table)


@app.command()
def export(
    run_id: str,
    form: Annotated[Form, typer.Option(help="json: everything; csv: the history.")] = Form.JSON,
    to: Annotated[Path | None, typer.Option(help="A file; default: the screen.")] = None,
    data_folder: Data = DATA_FOLDER,
) -> None:
    """Write RUN_ID in a form that other tools read."""
    text = _asked(lambda: export_run(read_run(run_id, data_folder), form.value))
    if to is None:
        typer.echo(text, nl=False)
    else:
        _asked(lambda: write_whole(to, text.encode()))
        typer.echo(f"{len(text.encode()):,} bytes in {to}")


def _asked(question: Any) -> Any:
    try:
        return question()
    except MetaLearningError as error:
        refuse(error)


def _short(facts: dict[str, Any]) -> str:
    return "  ".join(f"{name} {_value(value)}" for name, value in facts.items())


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and len(value) > 5:
        return f"[{len(value)} values]"
    if isinstance(value, dict):
        return "{" + _short(value) + "}"
    return "—" if value is None else str(value)
