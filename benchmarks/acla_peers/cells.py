"""Many cells: several at once, each kept as soon as it is done, and a line about how far it is."""

from __future__ import annotations

import json
import time
import traceback
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.acla_peers.arms import Cell, run
from benchmarks.acla_peers.items import TASKS, Draw, draw
from benchmarks.acla_peers.settings import CURVE_ITEMS, PLANS
from benchmarks.acla_peers.testing import Tested


class Bench:
    """Runs cells against the server at ``url`` and keeps what they found in ``folder``; a finished cell is never paid again."""

    def __init__(self, folder: Path, url: str, test_count: int, at_once: int = 12) -> None:
        self.folder, self.url, self.test_count, self._at_once = folder, url, test_count, at_once
        self._draws: dict[tuple[str, int], Draw] = {}

    def run(self, cells: list[Cell]) -> None:
        """What is missing of ``cells``, and the test items of every prompt that they would have answered with."""
        missing = [cell for cell in cells if not self.file(cell).exists()]
        began = time.time()
        with ThreadPoolExecutor(self._at_once) as pool:
            jobs = {pool.submit(self._one, cell): cell for cell in missing}
            for done, job in enumerate(as_completed(jobs), start=1):
                gone = time.time() - began
                left = gone / done * (len(jobs) - done)
                said = _failure(job.exception()) or "done"
                print(
                    f"[{done}/{len(jobs)}] {jobs[job].name}: {said}; {gone:.0f} s gone, about {left:.0f} s left",
                    flush=True,
                )

    def ask_more(self, cells: list[Cell]) -> None:
        """Ask what is missing of the test items of finished cells: more of them may be wanted than when those ran."""
        found = [json.loads(self.file(cell).read_text()) for cell in cells if self.file(cell).exists()]
        with ThreadPoolExecutor(self._at_once) as pool:
            list(pool.map(self._ask_tests, found))

    def file(self, cell: Cell) -> Path:
        """Where a cell's result is."""
        return self.folder / "cells" / f"{cell.name.replace(':', '-')}.json"

    def items(self, task: str, seed: int) -> Draw:
        """The items of a data seed."""
        if (task, seed) not in self._draws:
            self._draws[task, seed] = draw(TASKS[task], seed, self.test_count)
        return self._draws[task, seed]

    def tested(self, task: str, seed: int) -> Tested:
        """The answers to the test items of a data seed."""
        return Tested(self.folder, task, seed, self.items(task, seed).test)

    def _one(self, cell: Cell) -> None:
        # A cell that was broken off begins again: what it had asked is in the recordings, and counts again.
        self._meter("DELETE", f"/meter?tag={cell.name}")
        self._meter("POST", "/caps", {cell.name: cell.budget})
        found = run(cell, self.url, cell.name, self.items(cell.task, cell.seed))
        found["meter"] = self._meter("GET", f"/meter?tag={cell.name}")
        self._ask_tests(found)
        self.file(cell).parent.mkdir(parents=True, exist_ok=True)
        self.file(cell).write_text(json.dumps(found, indent=1))

    def _ask_tests(self, found: dict[str, Any]) -> None:
        tested, plan = self.tested(found["task"], found["seed"]), PLANS[found["task"]]
        tested.answers(found["package"], self.url)
        for calls in plan.curve if found["budget"] > plan.read_off else ():
            package = package_at(found, calls)
            if package is not None:
                tested.answers(package, self.url, None if calls == plan.read_off else CURVE_ITEMS)

    def _meter(self, method: str, path: str, body: Any = None) -> Any:
        root = self.url.removesuffix("/v1")
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(root + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(asked, timeout=3600) as answer:
            said = answer.read()
        return json.loads(said) if said else None


def package_at(found: dict[str, Any], calls: int) -> dict[str, Any] | None:
    """What the arm would have answered after so many calls, by its own judgement; None where it shows no such state."""
    known = [one for one in found["trace"] if one["calls"] <= calls]
    package: dict[str, Any] | None = known[-1]["package"] if known else None
    return package


def read_as(kind: str, package: dict[str, Any]) -> dict[str, Any]:
    """The same prompt, read as ``text`` or as the most probable ``label`` without thresholds."""
    return package | {"kind": kind, "bias": {}}


def _failure(error: BaseException | None) -> str:
    if error is None:
        return ""
    traceback.print_exception(error)
    return f"FAILED: {type(error).__name__}: {error}"
