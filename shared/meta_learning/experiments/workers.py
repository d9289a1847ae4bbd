"""Cells on this machine: in this process, or in several that may die."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from meta_learning.experiments.cell_process import asks_in_batches, run_encoded, run_here
from meta_learning.experiments.grid import GridCell

_T = TypeVar("_T")

DEATHS_MAX = 3
# A search waits for one proposal at a time, which costs a model of this process as much alone as eight of them together.
AT_ONCE = 8


class OneProcess:
    """Cells here: one after the other, but ``at_once`` together where they ask a model that answers in batches (``together``)."""

    def __init__(self, at_once: int = AT_ONCE, together: Callable[[GridCell], bool] = asks_in_batches) -> None:
        self._at_once, self._batched = at_once, together

    def run(
        self, cells: Iterable[GridCell], searches_folder: Path
    ) -> Generator[tuple[GridCell, dict[str, Any]], None, None]:
        """Results as they come: of those that compute alone in the order of the cells, then of the others."""
        batched = list[GridCell]()
        for cell in cells:
            if self._batched(cell):
                batched.append(cell)
            else:
                yield cell, json.loads(run_encoded(cell.model_dump_json(), str(searches_folder)))
        together = _together(batched, searches_folder, self._at_once)
        yield from _in_a_thread(together) if _in_a_loop() else together


def _together(
    cells: list[GridCell], folder: Path, at_once: int
) -> Generator[tuple[GridCell, dict[str, Any]], None, None]:
    running: dict[asyncio.Task[str], GridCell] = {}
    waiting = cells[::-1]
    with asyncio.Runner() as runner:
        while waiting or running:
            while waiting and len(running) < at_once:
                cell = waiting.pop()
                running[runner.get_loop().create_task(run_here(cell, folder))] = cell
            done, _ = runner.run(asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED))
            for task in done:
                yield running.pop(task), json.loads(task.result())


def _in_a_loop() -> bool:
    """Whether this thread runs an event loop already, as a notebook does: a second one has no place in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_a_thread(results: Generator[_T, None, None]) -> Iterator[_T]:
    with ThreadPoolExecutor(1) as pool:
        try:
            while (found := pool.submit(next, results, None).result()) is not None:
                yield found
        finally:
            pool.submit(results.close).result()


class Processes:
    """``count`` processes. When one dies, all start anew, and what they were at is run again.

    A cell during which processes died `DEATHS_MAX` times is given up: it may be the one that kills them.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, cells: Iterable[GridCell], searches_folder: Path) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        """Results as they come."""
        left, deaths = {cell.id: cell for cell in cells}, dict[str, int]()
        while left:
            at_work: list[GridCell] = []
            # Who was there at two deaths runs alone next, and first: so the one that kills is told from its neighbours.
            suspects = [name for name in left if deaths.get(name, 0) == DEATHS_MAX - 1]
            left = {name: left[name] for name in [*suspects, *(name for name in left if name not in suspects)]}
            count = 1 if suspects else self._count
            with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
                try:
                    yield from self._until_broken(pool, count, left, searches_folder, at_work)
                except BrokenProcessPool:
                    for cell in at_work:
                        deaths[cell.id] = deaths.get(cell.id, 0) + 1
            for cell in [left[name] for name, number in deaths.items() if number >= DEATHS_MAX and name in left]:
                yield left.pop(cell.id), {"id": cell.id, "error": f"the process died {DEATHS_MAX} times"}

    @staticmethod
    def _until_broken(
        pool: ProcessPoolExecutor, count: int, left: dict[str, GridCell], folder: Path, at_work: list[GridCell]
    ) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        """No more is handed out than is worked on, so that a death is the fault of one of few."""
        waiting = list(left.values())
        running: dict[Future[str], GridCell] = {}
        while waiting or running:
            while waiting and len(running) < count:
                cell = waiting.pop(0)
                running[pool.submit(run_encoded, cell.model_dump_json(), str(folder))] = cell
            at_work[:] = running.values()
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                result = json.loads(future.result())
                cell = running.pop(future)
                del left[cell.id]
                yield cell, result
