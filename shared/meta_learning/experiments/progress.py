"""How far a study is, with the time that is left: on a terminal a bar, elsewhere a line a cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from meta_learning.experiments.grid import GridCell
from meta_learning.experiments.kinds import headline
from meta_learning.experiments.study import OnCell


@contextmanager
def shown(done: int, total: int, console: Console | None = None) -> Iterator[OnCell]:
    """What a study calls with each new result while the bar is up."""
    screen = console or Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        # Only what is new is counted against the clock: cells of an earlier life would make it look fast.
        task = bar.add_task(f"cells ({done} of {total} were done)" if done else "cells", total=total - done)

        def on_cell(cell: GridCell, result: dict[str, Any]) -> None:
            said = result.get("error") or headline(result)
            screen.print(f"{cell.label}: {said}", highlight=False, markup=False)
            bar.advance(task)

        yield on_cell
