"""From events to jobs: a request becomes exactly one RQ job, a cancellation reaches it wherever it is.

An entry is acknowledged after its effect, and every effect may happen twice: the job id is derived from the event's, and
the queue refuses a second job of the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from typing import Any

from redis.exceptions import RedisError
from rq import Retry
from rq.exceptions import DuplicateJobError, InvalidJobOperation
from rq.job import JobStatus

from meta_learning.errors import BrokerUnavailable, MalformedEvent
from meta_learning.events import EvolutionCancelRequested, EvolutionCompleted, EvolutionRequested, decode, derived_id
from meta_learning.streams import Entry, Log, Relay
from services.evolver.lost import end_without_job, has_job, job_of, last_state
from services.evolver.metrics import Metrics
from services.evolver.queueing import JOB, RESULT_TTL_S, cancel_key, job_id_of, run_key
from services.evolver.settings import EvolverSettings

log = logging.getLogger("evolver.relay")
GROUP = "evolver"
OUTAGE_WAIT_S = 1.0
# A run may go past its own budget by one slow model call and by writing its results, or by one batch: that is called off after a
# sixth of the budget at most, and brings what is ready two minutes later. RQ's axe falls only after that.
JOB_MARGIN_S, JOB_MARGIN_SHARE = 300, 1 / 6
# At once after a death, then with patience: a job that kills its process is not helped by hurry.
RETRY_INTERVALS_S = [0, 5, 30]


class RequestRelay:
    """Moves evolution requests from ``stream`` to ``queue`` until it is cancelled."""

    def __init__(self, stream: Log, queue: Any, settings: EvolverSettings, metrics: Metrics) -> None:
        self._stream, self._queue, self._settings, self._metrics = stream, queue, settings, metrics

    async def run(self, consumer: str) -> None:
        """Relay for ever; an outage of either side is waited out."""
        relay = self._stream.relay(GROUP, consumer)
        while True:
            try:
                await self.relay_once(relay)
            except (BrokerUnavailable, RedisError) as error:
                log.warning("the relay waits for its broker", extra={"reason": type(error).__name__})
                await asyncio.sleep(OUTAGE_WAIT_S)

    async def relay_once(self, relay: Relay, wait_ms_max: int = 1000) -> int:
        """Take what there is, act on it, acknowledge it; how many entries."""
        taken = await relay.take(count_max=100, wait_ms_max=wait_ms_max)
        done: dict[int, list[str]] = defaultdict(list)
        for partition, entry in taken:
            await self._act(entry)
            done[partition].append(entry.id)
        for partition, ids in done.items():
            await relay.acknowledge(partition, ids)
        return len(taken)

    async def _act(self, entry: Entry) -> None:
        try:
            event = decode(entry.body)
        except MalformedEvent as error:
            # Only the owner of a partition can park; a fold does so with this entry. The relay just must not stop at it.
            log.error("an entry cannot be read", extra={"entry": entry.id, "reason": str(error)})
            self._metrics.relayed.labels("unreadable").inc()
            return
        match event:
            case EvolutionRequested():
                outcome = await asyncio.to_thread(self._enqueue, event)
            case EvolutionCancelRequested():
                outcome = await self._cancel(event)
            case _:
                return
        self._metrics.relayed.labels(outcome).inc()
        log.info("relayed", extra={"event": event.type, "loop": event.loop, "run": event.run_id, "outcome": outcome})

    def _enqueue(self, event: EvolutionRequested) -> str:
        job_id = job_id_of(event.event_id)
        self._queue.connection.set(run_key(event.loop, event.run_id), job_id, ex=RESULT_TTL_S)
        try:
            self._queue.enqueue(
                JOB,
                args=(event.encode().decode(),),
                job_id=job_id,
                unique=True,
                job_timeout=round(self._settings.evolution_seconds_max * (1 + JOB_MARGIN_SHARE)) + JOB_MARGIN_S,
                retry=Retry(max=self._settings.evolution_retries_count, interval=RETRY_INTERVALS_S),
                result_ttl=RESULT_TTL_S,
                failure_ttl=RESULT_TTL_S,
                description=f"evolution {event.run_id} of {event.loop}",
            )
        except DuplicateJobError:
            return "duplicate"
        return "enqueued"

    async def _cancel(self, event: EvolutionCancelRequested) -> str:
        job_id = await asyncio.to_thread(self._flag, event)
        if job_id is not None and await asyncio.to_thread(self._take_off_queue, job_id):
            # The job will never run, so nobody else says how the run ended.
            await self._say_cancelled(event, job_id, "cancelled before it started")
            return "cancelled"
        if job_id is not None and await asyncio.to_thread(has_job, self._queue, job_id):
            return "cancelling"
        last = await last_state(self._stream, event.loop, event.run_id)
        if isinstance(last, EvolutionCompleted):
            return "nothing_to_cancel"
        # A run that nobody works on would be shown as cancelling for ever.
        job_id = job_id or (job_of(last) if last else derived_id("no job", event.loop, event.run_id))
        await self._say_cancelled(event, job_id, "cancelled by request: no job worked on this run")
        return "cancelled"

    async def _say_cancelled(self, event: EvolutionCancelRequested, job_id: str, reason: str) -> None:
        completed = end_without_job(event.loop, event.run_id, job_id, "cancelled", reason)
        await self._stream.publish(event.loop, [completed])

    def _flag(self, event: EvolutionCancelRequested) -> str | None:
        job_id = self._queue.connection.get(run_key(event.loop, event.run_id))
        if job_id is None:
            return None
        self._queue.connection.set(cancel_key(job_id.decode()), "1", ex=RESULT_TTL_S)
        return str(job_id.decode())

    def _take_off_queue(self, job_id: str) -> bool:
        job = self._queue.fetch_job(job_id)
        if job is None or job.get_status() not in (JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.CANCELED):
            return False
        with contextlib.suppress(InvalidJobOperation):  # it was cancelled before; its end may not have been said
            job.cancel()
        return True
