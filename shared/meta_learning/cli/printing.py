"""How the commands speak: tables to people and pipes, refusals in one line."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer
from rich.console import Console
from rich.table import Table


def refuse(error: Exception | str) -> NoReturn:
    """End with what the error says, and status 1."""
    typer.echo(f"meta-learning: {error}", err=True)
    raise typer.Exit(1)


def with_option(error: Exception) -> str:
    """What the error says, and the option of `evolve` and `data card` that names the column that a data file lacks.

    >>> from meta_learning.errors import MalformedDataset
    >>> with_option(MalformedDataset("has no column 'input'", row=2, file="mail.csv", lacks="input"))
    "mail.csv, row 2: has no column 'input'; name the one to read: --input-column NAME"
    """
    lacks = getattr(error, "lacks", None)
    if not lacks:
        return str(error)
    said = str(error)
    return f"{said}{' Name' if said.endswith('?') else '; name'} the one to read: --{lacks}-column NAME"


def table_of(*columns: str) -> Table:
    """An empty table without lines."""
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def printed(table: Table) -> None:
    """Print a table, as wide as the screen; in a pipe wide enough that nothing is cut."""
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "160"))
    Console(width=width).print(table if table.row_count else "(none)")
