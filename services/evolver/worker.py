"""One RQ worker process: runs evolutions, helps with them, and runs cells of studies while there are none, each in a horse of its own.

It ends within seconds of SIGTERM, and with its parent.

``python -m services.evolver.worker NAME`` is started by `services.evolver.staff`, which holds the other end of stdin: when
that closes, the parent is gone (even by SIGKILL), and the worker ends as on SIGTERM.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from typing import Any

from meta_learning.serving.logs import log_as_json
from meta_learning.serving.running import exit_on_bad_settings
from meta_learning.serving.settings import read_settings
from services.evolver import interrupt, jobs
from services.evolver.giving_way import GivingWay
from services.evolver.in_turn import InTurn
from services.evolver.queueing import HELP_QUEUE, QUEUE, STUDIES, connect
from services.evolver.settings import EvolverSettings

log = logging.getLogger("evolver.worker")
# An idle worker blocks in dequeue for worker_ttl - 15 s, and looks after the registries only in between.
WORKER_TTL_S = 30
MAINTENANCE_S = 30
MONITORING_S = 5
CELLS = "cells"  # the folder of what cells of studies have paid for: a cell that was cut off goes on from there


class EvolutionWorker(GivingWay):
    """RQ's forking worker, whose horse is asked to stop between two model calls instead of being waited for or killed."""

    queue_class = InTurn

    def get_heartbeat_ttl(self, job: Any, working_time: float = 0.0) -> int:
        """A cell of a study has no lease: its death is told by its silence, so that must be short."""
        return 2 * MONITORING_S if job.origin == STUDIES else int(super().get_heartbeat_ttl(job, working_time))

    def prepare_job_execution(self, job: Any, remove_from_intermediate_queue: bool = False) -> None:
        """Taken off the one queue that it came from, whatever others there are (see `in_turn`)."""
        super().prepare_job_execution(job, remove_from_intermediate_queue=True)

    def handle_warm_shutdown_request(self) -> None:
        """Pass SIGTERM on: the horse puts its job back on the queue, resumable."""
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        """Called by RQ in the horse, right after the fork."""
        interrupt.on_sigterm()


def work(name: str) -> None:
    """Work until SIGTERM."""
    settings = read_settings(EvolverSettings)
    log_as_json("evolver", settings.log_level)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection = connect(settings.queue_url, timeout_s=WORKER_TTL_S)
    worker: Any = EvolutionWorker(
        [InTurn(name, connection=connection, serializer="json") for name in (QUEUE, HELP_QUEUE, STUDIES)],
        name=name,
        connection=connection,
        serializer="json",
        worker_ttl=WORKER_TTL_S,
        maintenance_interval=MAINTENANCE_S,
        job_monitoring_interval=MONITORING_S,
        log_job_description=False,
    )
    worker.cells_folder = settings.data_folder / CELLS
    log.info("worker started", extra={"worker": name, "job": jobs.evolve.__name__})
    worker.work(logging_level=settings.log_level)


def _end_with_parent() -> None:
    # os.read, not sys.stdin: at exit the interpreter would wait for the lock of a buffered reader.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    exit_on_bad_settings(lambda: work(sys.argv[1]))
