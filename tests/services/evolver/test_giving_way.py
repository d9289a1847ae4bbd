"""A study does not keep a person waiting: its cell goes back to the queue when an evolution comes, and ends afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from rq import Retry

from services.evolver.giving_way import GIVES_MAX, TURN_KEY, GivingWay, _own, gave_way_key
from services.evolver.queueing import QUEUE, STUDIES, connect, open_queue
from tests.mourning import ends_with_us

ROOT = Path(__file__).parents[3]
# A worker that looks every second instead of every five.
WORK = """
import sys
from pathlib import Path
from services.evolver import worker
from services.evolver.in_turn import InTurn
connection = worker.connect(sys.argv[1], timeout_s=30)
queues = [InTurn(name, connection=connection, serializer="json") for name in (worker.QUEUE, worker.STUDIES)]
one = worker.EvolutionWorker(queues, connection=connection, serializer="json", job_monitoring_interval=1)
one.cells_folder = Path(sys.argv[2])
one.work(burst=True, logging_level="WARNING")
"""


def test_a_running_cell_goes_back_for_an_evolution_keeps_its_retries_and_ends_after_it(
    broker_url: str, tmp_path: Path
) -> None:
    trace, connection = tmp_path / "trace", connect(broker_url)
    cell = open_queue(connection, STUDIES).enqueue(
        "tests.services.evolver.cells.cell", args=(str(trace),), retry=Retry(max=2)
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    process = subprocess.Popen([sys.executable, "-c", WORK, broker_url, str(tmp_path / "cells")], env=environment)
    ends_with_us(process.pid)
    try:
        pause = threading.Event()
        while not trace.exists() and process.poll() is None:
            pause.wait(0.05)
        evolution = open_queue(connection, QUEUE).enqueue("tests.services.evolver.cells.evolution", args=(str(trace),))
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    folder = tmp_path / "cells"
    assert trace.read_text().splitlines() == [f"cell in {folder}", "evolution", f"cell in {folder}"]
    for job in (cell, evolution):
        job.refresh()
        assert (str(job.get_status().value), job.return_value()) == ("finished", "done")
    assert cell.retries_left == 2
    assert int(connection.get(gave_way_key(cell.id))) == 1


def test_one_worker_at_a_time_gives_way_and_no_cell_for_ever(broker_url: str) -> None:
    connection = connect(broker_url)
    job = open_queue(connection, STUDIES).enqueue("tests.services.evolver.cells.cell", args=("nowhere",))
    one, other = (GivingWay([open_queue(connection, STUDIES)], connection=connection) for _ in range(2))

    def asked() -> list[bool]:
        connection.delete(TURN_KEY)
        return [one._may_give(job), other._may_give(job)]

    assert [asked() for _ in range(GIVES_MAX)] == [[True, False]] * GIVES_MAX
    assert asked() == [False, False]
    assert not connection.exists(TURN_KEY)


def test_two_processes_never_write_the_log_of_one_cell(tmp_path: Path) -> None:
    with _own(tmp_path, "cell") as first, _own(tmp_path, "cell") as second, _own(tmp_path, "other") as third:
        assert (first, second, third) == (tmp_path, None, tmp_path)
    nobody: Any = None
    with _own(nobody, "cell") as folder:
        assert folder is None
