"""A cell of a study gives way to an evolution that nobody else takes up: it goes back to its queue, and is gone on with later.

A person waits for an evolution; a study waits for itself. Between two cells the order of the queues sees to that (`in_turn`). A cell
that is running is handed back when an evolution has been waiting at two looks in a row, so that a worker that is free had time to
take it; by one worker at a time; and not for ever: a cell that gave way `GIVES_MAX` times runs to its end.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rq import Queue, Worker
from rq.job import JobStatus

from services.evolver.queueing import QUEUE, RESULT_TTL_S, STUDIES

log = logging.getLogger("evolver.giving_way")
GIVES_MAX = 3
TURN_KEY = "meta_learning:evolver:giving-way"
TURN_S = 30  # one evolution needs one worker: no other one gives way so soon after


def gave_way_key(job_id: str) -> str:
    """How often this cell gave way."""
    return f"meta_learning:evolver:gave-way:{job_id}"


class GivingWay(Worker):  # type: ignore[misc]  # rq is untyped here
    """RQ's forking worker, whose cells give way. ``cells_folder``: where cells keep what they have paid for."""

    cells_folder: Path | None = None
    _waiting_seen: str | None = None
    _handed_back: str | None = None

    def maintain_heartbeats(self, job: Any, execution: Any) -> None:
        """Called by RQ every few seconds while a horse works."""
        super().maintain_heartbeats(job, execution)
        if job.origin != STUDIES:
            return
        waits = bool(self.connection.llen(Queue(QUEUE, connection=self.connection).key))
        seen, self._waiting_seen = self._waiting_seen == job.id, job.id if waits else None
        if waits and seen and self._may_give(job):
            log.info("a cell gives way to an evolution", extra={"job": job.id})
            self._handed_back, self._waiting_seen = job.id, None
            self.kill_horse()

    def handle_job_failure(self, job: Any, queue: Any, *rest: Any, **how: Any) -> None:
        """A cell that was handed back has not failed: its retries stay what they were."""
        if self._handed_back != job.id:
            super().handle_job_failure(job, queue, *rest, **how)
            return
        self._handed_back = None
        with self.connection.pipeline(transaction=True) as pipeline:
            self.cleanup_execution(job, pipeline=pipeline, execution=how.get("execution"))
            job.set_status(JobStatus.QUEUED, pipeline=pipeline)
            queue.push_job_id(job.id, pipeline=pipeline, at_front=True)
            pipeline.execute()

    def perform_job(self, job: Any, queue: Any, execution: Any) -> bool:
        """Called by RQ in the horse. A cell has no safe point to wait for: what it paid for lies on disk, the rest it does again."""
        if job.origin != STUDIES:
            return bool(super().perform_job(job, queue, execution))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with _own(self.cells_folder, job.id) as folder:
            if folder is not None:
                job.args = (job.args[0], str(folder))
            return bool(super().perform_job(job, queue, execution))

    def _may_give(self, job: Any) -> bool:
        # First, so that a cell that gives no more does not keep the turn from the others'.
        if int(self.connection.get(gave_way_key(job.id)) or 0) >= GIVES_MAX:
            return False
        if not self.connection.set(TURN_KEY, self.name, nx=True, ex=TURN_S):
            return False
        self.connection.incr(gave_way_key(job.id))
        self.connection.expire(gave_way_key(job.id), RESULT_TTL_S)
        return True


@contextlib.contextmanager
def _own(folder: Path | None, job_id: str) -> Iterator[Path | None]:
    """``folder``, unless another process of this machine is at the same cell: two writers would spoil its log."""
    if folder is None:
        yield None
        return
    locks = folder / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with open(locks / job_id, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield folder
