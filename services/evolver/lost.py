"""Runs that nobody works on any more: what the log asked for and never saw end, and the end that is said for them.

An end's id is derived from the job's, as the job's own would be: whoever says it, and however often, it is said once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from rq.job import JobStatus

from meta_learning.errors import MalformedEvent
from meta_learning.events import EvolutionCompleted, EvolutionRequested, decode, derived_id
from meta_learning.streams import START, Log, partition_of
from services.evolver.queueing import cancel_key, job_id_of

# A younger request may not have become a job yet.
LOST_AFTER_S = 120.0
ASK_AGAIN = "what was paid for is kept: ask again with the same run_id to go on"
_ALIVE = {JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED, JobStatus.STARTED, JobStatus.CREATED}


def has_job(queue: Any, job_id: str) -> bool:
    """Whether the job still waits, rests or runs, so that the run's end is its own to say."""
    job = queue.fetch_job(job_id)
    return job is not None and job.get_status() in _ALIVE


def end_without_job(
    loop: str, run_id: str, job_id: str, outcome: Literal["failed", "cancelled"], reason: str
) -> EvolutionCompleted:
    """The end of a run whose job will not say it."""
    return EvolutionCompleted(
        event_id=derived_id("completed", job_id),
        occurred_at=datetime.now(UTC),
        loop=loop,
        run_id=run_id,
        outcome=outcome,
        reason=f"{reason}; {ASK_AGAIN}",
    )


def lost_end(queue: Any, request: EvolutionRequested, job_id: str, reason: str) -> EvolutionCompleted:
    """As `end_without_job`: cancelled where somebody asked for that, else failed."""
    if queue.connection.exists(cancel_key(job_id)):
        reason = f"cancelled by request after {reason}"
        return end_without_job(request.loop, request.run_id, job_id, "cancelled", reason)
    return end_without_job(request.loop, request.run_id, job_id, "failed", reason)


async def last_state(log: Log, loop: str, run_id: str) -> EvolutionRequested | EvolutionCompleted | None:
    """The newest request of a run, or its end if it ended since; None where the log keeps neither."""
    found: EvolutionRequested | EvolutionCompleted | None = None
    async for event in _requests_and_ends(log, partition_of(loop, log.partitions_count)):
        if (event.loop, event.run_id) == (loop, run_id):
            found = event
    return found


async def unended(log: Log, older_than_s: float = LOST_AFTER_S) -> list[EvolutionRequested]:
    """The requests on the log that no end followed, but for the newest ones."""
    last: dict[tuple[str, str], EvolutionRequested | EvolutionCompleted] = {}
    for partition in range(log.partitions_count):
        async for event in _requests_and_ends(log, partition):
            last[event.loop, event.run_id] = event
    before = datetime.now(UTC) - timedelta(seconds=older_than_s)
    return [one for one in last.values() if isinstance(one, EvolutionRequested) and one.occurred_at <= before]


def job_of(request: EvolutionRequested) -> str:
    """The id of the job that a request becomes."""
    return job_id_of(request.event_id)


async def _requests_and_ends(log: Log, partition: int) -> AsyncIterator[EvolutionRequested | EvolutionCompleted]:
    after = START
    while entries := await log.entries(partition, "events", after=after, count_max=1000):
        for entry in entries:
            if entry.type not in ("EvolutionRequested", "EvolutionCompleted"):
                continue
            try:
                event = decode(entry.body)
            except MalformedEvent:
                continue  # a fold parks it
            if isinstance(event, EvolutionRequested | EvolutionCompleted):
                yield event
        after = entries[-1].id
