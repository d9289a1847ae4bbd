"""The job: one ACLA run in a forked process, said on the event log, resumable at every moment.

A run's replies and decisions lie in its log on disk, so whoever takes the job up again decides the same out of the same
replies and pays only for what is new. Every event's id is derived from the job's, so saying it twice says it once.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from rq import Retry, get_current_job

from meta_learning.errors import CallerError, Cancelled, LLMUnavailable, MalformedInput
from meta_learning.events import EvolutionRequested
from meta_learning.registry.store import FileStore
from meta_learning.serving.settings import read_settings
from meta_learning.streams.opening import open_log
from services.evolver.ending import Ending, failed
from services.evolver.lease import Lease, Stop
from services.evolver.queueing import RESULT_TTL_S, connect, lease_key, outages_key
from services.evolver.reports import Reports
from services.evolver.runs import Run
from services.evolver.settings import EvolverSettings

log = logging.getLogger("evolver.jobs")
# RQ fails a job whose returned Retry has reached its max; how often a job may step aside is counted here, not there.
FOR_EVER = 1_000_000
OUTAGE_PAUSES_S = [2, 5, 10, 20, 40, 60, 120]
GRACE_S = 3.0  # what a model call in flight gets once the run is to stop


def evolve(request: str) -> Any:
    """Run the evolution that ``request`` (an encoded `EvolutionRequested`) asks for; called by RQ in a horse.

    Returns a summary, or RQ's `Retry` when the run stepped aside and is to be taken up again.
    """
    settings = read_settings(EvolverSettings)
    event = EvolutionRequested.decode(request.encode())
    job: Any = get_current_job()
    connection = connect(settings.queue_url)
    lease = Lease(connection, lease_key(event.loop, event.run_id), uuid.uuid4().hex, job.id, settings.lease_ttl_s)
    if not lease.acquire(wait_s=settings.lease_ttl_s + 1):
        log.info("somebody else works on this run", extra={"run": event.run_id})
        return Retry(max=FOR_EVER, interval=2)
    try:
        return asyncio.run(_Execution(settings, event, job, lease).run())
    finally:
        lease.release()
        connection.close()


class _Execution:
    """One life of one job."""

    def __init__(self, settings: EvolverSettings, event: EvolutionRequested, job: Any, lease: Lease) -> None:
        self._settings, self._event, self._job, self._lease = settings, event, job, lease
        self._stream = open_log(settings.redis_url, settings.partitions_count, settings.log_limits)
        store = FileStore(settings.data_folder / "registry")
        self._reports = Reports(self._stream, store, event, job)
        self._run = Run(settings, event, self._stream, store)

    async def run(self) -> Any:
        """Run to the end, or to where it must step aside."""
        async with self._reports:
            try:
                ending = await self._stoppable()
            except (Cancelled, asyncio.CancelledError):
                if self._lease.stop is not Stop.CANCELLED:
                    # At the queue's front, for whoever is there next; this process is going.
                    return Retry(max=FOR_EVER, interval=0, enqueue_at_front=True)
                ending = Ending("cancelled", reason="cancelled by request")
            except LLMUnavailable as error:
                count = await asyncio.to_thread(self._count_outage)
                if count <= self._settings.llm_outage_retries_count:
                    return await self._step_aside(count, error)
                ending = failed(f"{error}; what was paid for is kept: ask again with the same run_id to go on")
            except (CallerError, MalformedInput) as error:
                ending = failed(str(error))
            except Exception as error:
                if self._job.retries_left:
                    raise
                log.exception("the run failed for good", extra={"run": self._event.run_id})
                ending = failed(f"{type(error).__name__}: {error}")
            if await self._reports.ends(ending):
                self._lease.count({f"runs|{ending.outcome}": 1})
            return ending.summary()

    async def _stoppable(self) -> Ending:
        """The run, with `GRACE_S` for the call in flight once it is to stop."""
        task = asyncio.create_task(self._run.go(self._lease, self._reports), name="run")
        asked_at: float | None = None
        while not task.done():
            await asyncio.wait({task}, timeout=0.2)
            if self._lease.stop is None:
                continue
            now = asyncio.get_running_loop().time()
            asked_at = asked_at or now
            if now - asked_at > GRACE_S:
                task.cancel()
        return await task

    async def _step_aside(self, count: int, error: LLMUnavailable) -> Retry:
        pause_s = OUTAGE_PAUSES_S[min(count, len(OUTAGE_PAUSES_S)) - 1]
        await self._reports.waits(f"{error}; the run goes on in {pause_s} s", count)
        return Retry(max=FOR_EVER, interval=pause_s)

    def _count_outage(self) -> int:
        key, connection = outages_key(self._job.id), self._job.connection
        connection.expire(key, RESULT_TTL_S)
        self._lease.count({"outages": 1})
        return int(connection.incr(key))
