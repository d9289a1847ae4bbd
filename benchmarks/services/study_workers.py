"""Is a grid the same whoever runs it, how much faster is it with more workers, and what do kills cost?

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.services.study_workers speed [cells] [events]
    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.services.study_workers kills [cells] [events] [seconds between kills]

``speed``: the same feedback-loop grid with 1, 2 and 4 processes; the files of all cells must be equal byte for byte. Floor: one
process; ceiling: the number of free cores. ``kills``: the grid over the packaged broker and two RQ workers (`study work`), of
which one, or its horse, dies by SIGKILL again and again, and is started anew; all cells must come, each as in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from meta_learning.experiments import ExperimentRunner, LoopStudyConfig
from meta_learning.experiments.queueing import QueueWorkers, connect
from meta_learning.experiments.workers import OneProcess
from tests.brokers import running

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data"))
KINDS = ("stable", "drifting", "disagreeing", "lazy", "malicious")
WORK = "import sys; from meta_learning.experiments.queueing import work; work(sys.argv[1])"


def grid(cells: int, events: int) -> LoopStudyConfig:
    """``cells`` loops: five kinds of users, as many seeds as that takes."""
    texts = {"name": "sentiment140"}
    if events >= 1000:
        texts["path"] = str((DATA / "sentiment140_train_20k_head_tail.csv").absolute())
    # Small cells are many cells: what is asked about is how they are handed out, not what the loops learn.
    settings = {"cycle_size": 100 if events >= 1000 else 20}
    said = {"kind": "feedback_loop", "name": "workers", "texts": [texts], "users": list(KINDS), "events": events}
    return LoopStudyConfig.read({**said, "settings": settings, "seeds": list(range(1, cells // len(KINDS) + 1))})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("cells/*.json")}


def speed(cells: int, events: int) -> None:
    config, first = grid(cells, events), dict[str, bytes]()
    print(f"{cells} cells of {events:,} events; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    walls = dict[int, float]()
    for count in (1, 2, 4):
        with tempfile.TemporaryDirectory() as folder:
            started, spent_s = time.perf_counter(), cpu_seconds()
            ExperimentRunner(folder=folder).run_study(config, count)
            walls[count], spent_s = time.perf_counter() - started, cpu_seconds() - spent_s
            found = files(Path(folder))
        first = first or found
        assert len(found) == cells
        print(
            f"{count} workers: {walls[count]:.1f} s, {spent_s:.1f} CPU-s, speed-up {walls[1] / walls[count]:.2f}, "
            f"{'equal' if found == first else 'DIFFERENT'} byte for byte",
            flush=True,
        )


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


class Workers:
    """Two workers, one of which, or whose horse, is killed every so many seconds and started anew."""

    def __init__(self, url: str, every_s: float) -> None:
        self._url, self._every_s, self._draws = url, every_s, random.Random(0)
        self._alive = [self._start(), self._start()]
        self.killed = {"worker": 0, "horse": 0}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill_again_and_again)
        self._thread.start()

    def end(self) -> None:
        """No more kills, no more workers."""
        self._over.set()
        self._thread.join()
        for one in self._alive:
            one.terminate()
        for one in self._alive:
            one.wait(timeout=60)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": "shared", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WORK, self._url], env=environment, stderr=subprocess.DEVNULL
        )

    def _kill_again_and_again(self) -> None:
        while not self._over.wait(self._every_s):
            place = self._draws.randrange(2)
            victim = self._alive[place]
            horses = Path(f"/proc/{victim.pid}/task/{victim.pid}/children").read_text().split()
            if horses and self._draws.random() < 0.5:
                os.kill(int(horses[0]), 9)
                self.killed["horse"] += 1
                continue
            victim.kill()
            victim.wait()
            self.killed["worker"] += 1
            self._alive[place] = self._start()


def kills(cells: int, events: int, every_s: float) -> None:
    config = grid(cells, events)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "broker") as broker:
        workers = Workers(broker.url, every_s)
        started = time.perf_counter()
        try:
            report = ExperimentRunner(folder=folder).run_study(config, QueueWorkers(connect(broker.url)))
        finally:
            workers.end()
        wall_s = time.perf_counter() - started
        found = {name: json.loads(text) for name, text in files(Path(folder)).items()}
    some: list[Any] = config.cells()[:: max(1, cells // 10)]
    alone = {f"{cell.id}.json": result for cell, result in OneProcess().run(some, Path())}
    equal = sum(found.get(name) == result for name, result in alone.items())
    print(
        f"{len(found)} of {cells} cells of {events:,} events in {wall_s:.0f} s, {len(report['errors'])} errors, "
        f"{workers.killed['worker']} workers and {workers.killed['horse']} horses killed; "
        f"{equal} of {len(alone)} cells equal to those of one process"
    )
    for error in report["errors"]:
        print(error)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=("speed", "kills"), nargs="?", default="speed")
    parser.add_argument("cells", type=int, nargs="?", default=10)
    parser.add_argument("events", type=int, nargs="?", default=1500)
    parser.add_argument("every_s", type=float, nargs="?", default=4.0)
    asked = parser.parse_args()
    if asked.cells < 1 or asked.cells % len(KINDS):
        parser.error(f"cells must be a multiple of {len(KINDS)}, one a kind of users; there are {asked.cells}")
    if asked.way == "kills":
        kills(asked.cells, asked.events, asked.every_s)
    else:
        speed(asked.cells, asked.events)


if __name__ == "__main__":
    main()
