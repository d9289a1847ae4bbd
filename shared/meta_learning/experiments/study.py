"""A study on disk: a file a finished cell, written whole, so that whatever dies, the rest goes on from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from meta_learning.errors import MalformedState
from meta_learning.experiments.grid import Grid, GridCell
from meta_learning.utils.lines import write_whole

OnCell = Callable[[GridCell, dict[str, Any]], None]


class Workers(Protocol):
    """Who runs cells: this process, others on this machine, or an RQ queue that spreads over hosts."""

    def run(self, cells: Iterable[GridCell], searches_folder: Path) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        """Results as they come, in any order; ``{"error": …}`` for a cell that cannot be run."""


class Study:
    """The folder of ``config``'s study: ``config.json`` and ``cells/<id>.json``. The same settings find the same folder."""

    def __init__(self, config: Grid, root: Path) -> None:
        self.config, self.folder = config, root / config.id
        self._cells: dict[str, GridCell] = {cell.id: cell for cell in config.cells()}

    def run(self, workers: Workers, on_cell: OnCell = lambda cell, result: None) -> list[dict[str, Any]]:
        """Run what is not done yet; results of all cells that could be run, in the grid's order.

        ``on_cell`` is told about each new result, or its error.
        """
        write_whole(self.folder / "config.json", self.config.model_dump_json(indent=2).encode())
        self._run(list(self._cells.values()), workers, on_cell)
        later = self.config.later(self.results())
        self._cells |= {cell.id: cell for cell in later}
        self._run(later, workers, on_cell)
        return self.results()

    def results(self) -> list[dict[str, Any]]:
        """Results so far, in the grid's order.

        Raises:
            MalformedState: a file is not what was written.
        """
        return [self._read(cell) for cell in self._cells.values() if self._path(cell).exists()]

    @property
    def counts(self) -> tuple[int, int]:
        """Cells that are done, and all."""
        cells = {**self._cells, **{cell.id: cell for cell in self.config.later(self.results())}}
        total = len(self.config.cells()) + self.config.later_count
        return sum(self._path(cell).exists() for cell in cells.values()), total

    def _run(self, cells: Sequence[GridCell], workers: Workers, on_cell: OnCell) -> None:
        missing = [cell for cell in cells if not self._path(cell).exists()]
        for cell, result in workers.run(missing, self.folder) if missing else ():
            if "error" not in result:
                write_whole(self._path(cell), json.dumps(result, ensure_ascii=False, sort_keys=True).encode())
            on_cell(cell, result)

    def _read(self, cell: GridCell) -> dict[str, Any]:
        path = self._path(cell)
        try:
            result: dict[str, Any] = json.loads(path.read_bytes())
        except ValueError as error:
            raise MalformedState(f"{path}: {error}") from error
        if result.get("id") != cell.id:
            raise MalformedState(f"{path} holds another cell")
        return result

    def _path(self, cell: GridCell) -> Path:
        return self.folder / "cells" / f"{cell.id}.json"
