"""Cells over an RQ queue, so that a grid spreads over every host that reaches the broker. JSON only, never pickle.

A cell's job has an id derived from the cell: enqueued twice, also by another study or after a crash, it is one job.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from meta_learning.clrs.models.text_model import warm_up
from meta_learning.errors import BrokerUnavailable, ConfigurationError
from meta_learning.events import derived_id
from meta_learning.experiments.grid import GridCell

QUEUE = "studies"
JOB = "meta_learning.experiments.cell_process.run_encoded"
RESULT_TTL_S = 7 * 24 * 3600
CELL_TIMEOUT_S = 6 * 3600
DEATHS_MAX = 3
LOOK_EVERY_S = 0.5
REAP_EVERY_S = 5.0
# A worker says that it lives this often; silent for as long again, its cell is given to another one.
HEARTBEAT_S = 5


def connect(url: str) -> Any:
    """A client of the broker.

    Raises:
        ConfigurationError: the packages of the queue are not installed.
    """
    try:
        import redis
        import rq  # noqa: F401 (the client alone is of no use)
    except ImportError as missing:
        raise ConfigurationError(
            f"a queue needs the package {missing.name}: pip install 'meta-learning-loop[evolver]'"
        ) from None
    return redis.Redis.from_url(url, socket_timeout=30, socket_connect_timeout=5)


def open_queue(connection: Any) -> Any:
    """The queue of cells."""
    from rq import Queue

    return Queue(QUEUE, connection=connection, serializer="json")


class QueueWorkers:
    """Puts cells on the queue and collects what its workers (`work`, on any host) make of them."""

    def __init__(self, connection: Any, look_every_s: float = LOOK_EVERY_S) -> None:
        self._queue, self._look_every_s = open_queue(connection), look_every_s

    def run(self, cells: Iterable[GridCell], searches_folder: Path) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        """Results as they come; waits for workers if there are none yet.

        ``searches_folder`` is not used: other hosts do not see it, and a cell whose worker died starts anew elsewhere.

        Raises:
            BrokerUnavailable: the broker does not answer; the same study goes on from here later.
        """
        from redis.exceptions import RedisError

        try:
            yield from self._collected({_job_id(cell): cell for cell in cells})
        except RedisError as error:
            raise BrokerUnavailable(f"the queue of cells does not answer: {error}") from error

    def _collected(self, left: dict[str, GridCell]) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        from rq.job import Job
        from rq.registry import StartedJobRegistry

        for job_id, cell in left.items():
            self._enqueue(job_id, cell)
        registry, reaped = StartedJobRegistry(queue=self._queue), time.monotonic()
        on_the_way: set[str] = set()
        while left:
            jobs = Job.fetch_many(list(left), connection=self._queue.connection, serializer="json")
            for job_id, job in zip(list(left), jobs, strict=True):
                cell = left[job_id]
                if job is None:  # somebody emptied the broker
                    self._enqueue(job_id, cell)
                elif (result := _result(job, cell)) is not None:
                    del left[job_id]
                    yield cell, result
            if left:
                time.sleep(self._look_every_s)
            if time.monotonic() - reaped > REAP_EVERY_S:
                registry.cleanup()
                on_the_way = self._put_back(on_the_way)
                reaped = time.monotonic()

    def _put_back(self, seen: set[str]) -> set[str]:
        """Cells on their way from the queue to a worker; those ``seen`` there before wait for one that died, and go back.

        RQ does this too, but only once in ten minutes. A cell that two take up comes to the same result twice.
        """
        from rq.intermediate_queue import IntermediateQueue

        between = IntermediateQueue(self._queue.key, self._queue.connection)
        found = set(between.get_job_ids())
        for job_id in found & seen:
            # Both or neither: a cell that is on no list would be waited for without end.
            with self._queue.connection.pipeline(transaction=True) as both:
                both.lrem(between.key, 1, job_id)
                self._queue.push_job_id(job_id, pipeline=both, at_front=True)
                both.execute()
        return found - seen

    def _enqueue(self, job_id: str, cell: GridCell) -> None:
        from rq import Retry
        from rq.exceptions import DuplicateJobError

        said = {"job_id": job_id, "unique": True, "job_timeout": CELL_TIMEOUT_S, "description": cell.label}
        kept = {"result_ttl": RESULT_TTL_S, "failure_ttl": RESULT_TTL_S, "retry": Retry(max=DEATHS_MAX - 1)}
        try:
            self._queue.enqueue(JOB, args=(cell.model_dump_json(),), **said, **kept)
        except DuplicateJobError:
            job = self._queue.fetch_job(job_id)
            if job is not None and str(job.get_status().value) in ("failed", "stopped", "canceled"):
                job.delete()
                self._queue.enqueue(JOB, args=(cell.model_dump_json(),), **said, **kept)


def work(url: str, burst: bool = False) -> None:
    """Run cells until SIGTERM, each in a process of its own; with ``burst`` until the queue is empty."""
    from rq import Worker

    class CellWorker(Worker):  # type: ignore[misc]  # rq is untyped here
        """RQ's forking worker, missed after seconds instead of a minute."""

        def get_heartbeat_ttl(self, job: Any, working_time: float = 0.0) -> int:
            return 2 * HEARTBEAT_S

    # Before the first fork: else every cell's process would load the compiled model anew, for half a second.
    warm_up()
    connection = connect(url)
    worker: Any = CellWorker(
        [open_queue(connection)],
        connection=connection,
        serializer="json",
        worker_ttl=30,
        job_monitoring_interval=HEARTBEAT_S,
        log_job_description=False,
    )
    worker.work(burst=burst, logging_level="WARNING")


def _job_id(cell: GridCell) -> str:
    return derived_id("cell", cell.id)


def _result(job: Any, cell: GridCell) -> dict[str, Any] | None:
    """What became of a job; None while it may still become something."""
    status = str(job.get_status(refresh=False).value)
    if status == "finished":
        found: dict[str, Any] = json.loads(job.return_value())
        return found
    if status in ("failed", "stopped", "canceled"):
        latest = job.latest_result()
        said = (latest.exc_string or "") if latest is not None else ""
        return {
            "id": cell.id,
            "error": f"{status}: {said.strip().splitlines()[-1] if said.strip() else 'no reason given'}",
        }
    return None
