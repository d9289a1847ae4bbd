"""Brings jobs back: of dead processes within seconds, of silent models when their time has come, of lost ends never silently.

RQ by itself takes minutes: its registry entries outlive a killed worker by 60 s and an idle worker looks at them only
between two blocking reads. Here a started job without a lease is dead, its registry entry is aged by hand, and RQ's own
clean-up (retry or fail) runs on exactly the aged entries.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Any

from redis.exceptions import RedisError
from rq.executions import Execution
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.scheduler import RQScheduler

from meta_learning.errors import BrokerUnavailable, MalformedEvent
from meta_learning.events import EvolutionRequested
from meta_learning.streams import Log
from services.evolver.lost import LOST_AFTER_S, has_job, job_of, lost_end, unended
from services.evolver.metrics import Metrics
from services.evolver.queueing import lease_key

log = logging.getLogger("evolver.reaper")
TICK_S = 1.0
DEAD_SCORE = 1  # 1970: older than every living entry of the registry
# The log is read for runs without a job this long after the start (the relay has taken up what waited), then seldom.
SWEEP_AFTER_S, SWEEP_EVERY_S = 45.0, 600.0
SAID = "said_in"  # the number of partitions of the log where the end was said


class Reaper:
    """Looks after ``queue`` once a second until it is cancelled. Any number of reapers may run."""

    def __init__(self, stream: Log, queue: Any, lease_ttl_s: float, metrics: Metrics) -> None:
        self._stream, self._queue, self._metrics = stream, queue, metrics
        # From being taken off the queue to holding its lease a healthy horse needs a fork and two imports.
        self._grace_s = lease_ttl_s
        # A stable name, so that after a kill the successor need not wait for the scheduler's lock to run out.
        self._scheduler: Any = RQScheduler(
            [queue], connection=queue.connection, interval=5, serializer="json", name=f"evolver-{socket.gethostname()}"
        )

    async def run(self) -> None:
        """Look after the queue for ever; an outage is waited out."""
        sweep_at = time.monotonic() + SWEEP_AFTER_S
        while True:
            try:
                reaped = await asyncio.to_thread(self.revive)
                await asyncio.to_thread(self.enqueue_due)
                await self.report_lost()
                if time.monotonic() >= sweep_at:
                    await self.report_jobless()
                    sweep_at = time.monotonic() + SWEEP_EVERY_S
                self._metrics.reaped.inc(reaped)
                await asyncio.to_thread(self._metrics.look, self._queue)
            except (BrokerUnavailable, RedisError) as error:
                log.warning("the reaper waits for its broker", extra={"reason": type(error).__name__})
            await asyncio.sleep(TICK_S)

    def revive(self) -> int:
        """Give every started job whose process is dead back to the queue (or fail it, past its retries); how many."""
        registry = StartedJobRegistry(queue=self._queue)
        stale = [
            f"{job_id}:{execution_id}"
            for job_id, execution_id in registry.get_job_and_execution_ids(cleanup=False)
            if self._is_dead(job_id, execution_id)
        ]
        for entry in stale:
            log.warning("a job lost its process", extra={"job": entry.partition(":")[0]})
            self._queue.connection.zadd(registry.key, {entry: DEAD_SCORE}, xx=True)
        self._metrics.see_stale(len(stale))
        if stale:
            registry.cleanup(timestamp=DEAD_SCORE)
        return len(stale)

    def enqueue_due(self) -> None:
        """Move jobs whose waiting time is over to the queue (what `rq worker --with-scheduler` forks a process for)."""
        if self._scheduler.acquire_locks():
            self._scheduler.enqueue_scheduled_jobs()

    async def report_lost(self) -> None:
        """Say `EvolutionCompleted` for jobs that used up their retries without an end of their own."""
        for job in await asyncio.to_thread(self._lost):
            request = _request_of(job)
            if request is not None:
                reason = "the job failed or lost its process more often than it may be retried"
                end = await asyncio.to_thread(lost_end, self._queue, request, job.id, reason)
                await self._stream.publish(request.loop, [end])
            await asyncio.to_thread(_mark_said, job, self._stream.partitions_count)

    async def report_jobless(self, older_than_s: float = LOST_AFTER_S) -> None:
        """Say `EvolutionCompleted` for requests on the log that have no job any more: the queue lost it, or it is long over."""
        for request in await unended(self._stream, older_than_s):
            if await asyncio.to_thread(has_job, self._queue, job_of(request)):
                continue
            reason = "no job works on this run any more"
            end = await asyncio.to_thread(lost_end, self._queue, request, job_of(request), reason)
            log.warning("a run lost its job", extra={"loop": request.loop, "run": request.run_id})
            await self._stream.publish(request.loop, [end])

    def _is_dead(self, job_id: str, execution_id: str) -> bool:
        job = self._queue.fetch_job(job_id)
        request = _request_of(job)
        if request is None or self._queue.connection.exists(lease_key(request.loop, request.run_id)):
            return False
        try:
            execution = Execution.fetch(execution_id, job_id, self._queue.connection)
        except ValueError:
            return True  # its record ran out, so nobody has renewed it for over a minute
        return bool(time.time() - execution.created_at.timestamp() > self._grace_s)

    def _lost(self) -> list[Any]:
        registry = FailedJobRegistry(queue=self._queue)
        jobs = [self._queue.fetch_job(job_id) for job_id in registry.get_job_ids(cleanup=False)]
        count = self._stream.partitions_count
        return [job for job in jobs if job is not None and job.get_meta(refresh=False).get(SAID) != count]


def _request_of(job: Any) -> EvolutionRequested | None:
    try:
        return EvolutionRequested.decode(job.args[0].encode()) if job is not None else None
    except (MalformedEvent, IndexError, AttributeError):
        return None


def _mark_said(job: Any, partitions_count: int) -> None:
    job.meta[SAID] = partitions_count
    job.save_meta()
