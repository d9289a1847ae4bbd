"""The job of a helper: a worker that has no run of its own asks the model for somebody else's, as long as nobody needs it more."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Literal

import redis.asyncio
from redis.exceptions import RedisError
from rq.job import JobStatus

from meta_learning.acla.request import EvolutionSettings
from meta_learning.serving.ending import end
from meta_learning.serving.settings import read_settings
from services.evolver import interrupt
from services.evolver.asker import Asker
from services.evolver.desk import Desk
from services.evolver.models import CountedLLM, connect_model
from services.evolver.queueing import COUNTERS_KEY, HELP_QUEUE, QUEUE, connect, open_queue
from services.evolver.settings import EvolverSettings

log = logging.getLogger("evolver.helping")
JOB = "services.evolver.helping.assist"
LOOK_S = 0.5
CONNECTING_S = 60.0
# From being taken off the queue to its arrival a healthy helper needs a fork, some imports and an answer of Redis.
COMING_S = 15.0
State = Literal["waiting", "started", "late", "over"]
HELPER_RESULT_TTL_S = 600


def open_desk(settings: EvolverSettings, loop: str, run_id: str) -> tuple[Desk, Any]:
    """The desk of a run, and the connection to close when it is left."""
    connection = redis.asyncio.Redis.from_url(settings.queue_url, socket_timeout=5.0, socket_connect_timeout=5.0)
    return Desk(connection, loop, run_id), connection


class HelpQueue:
    """Where helpers with one life of a run are asked for: whoever is free takes the job; where nobody is, the run goes on without."""

    def __init__(self, settings: EvolverSettings, loop: str, run_id: str, token: str, asked: dict[str, Any]) -> None:
        self._connection = connect(settings.queue_url)
        self.queue = open_queue(self._connection, HELP_QUEUE)
        self._job_timeout_s = round(settings.evolution_seconds_max) + 60
        self._loop, self._run_id, self._token, self._asked = loop, run_id, token, asked

    def put(self, who: str) -> None:
        """Ask for one that calls itself ``who``."""
        self.queue.enqueue(
            JOB,
            args=(self._loop, self._run_id, self._token, who, json.dumps(self._asked)),
            job_id=_job_id_of(who),
            job_timeout=self._job_timeout_s,
            result_ttl=HELPER_RESULT_TTL_S,
            failure_ttl=HELPER_RESULT_TTL_S,
            description=f"help with evolution {self._run_id} of {self._loop}",
        )

    def state(self, who: str) -> State:
        """How the job stands that ``who`` is to come by."""
        job = self.queue.fetch_job(_job_id_of(who))
        status = job.get_status(refresh=False) if job is not None else None
        if status in (JobStatus.CREATED, JobStatus.QUEUED):
            return "waiting"
        if status is not JobStatus.STARTED:
            return "over"
        taken = job.started_at or datetime.now(UTC)
        return "late" if (datetime.now(UTC) - taken).total_seconds() > COMING_S else "started"

    def close(self) -> None:
        """Leave the queue."""
        self._connection.close()


def _job_id_of(who: str) -> str:
    return f"help-{who.rpartition('-')[2]}"


def assist(loop: str, run_id: str, token: str, who: str, asked: str) -> dict[str, Any]:
    """Answer questions of the run whose lease is ``token``, until it ends or a run waits for a worker; called by RQ in a horse."""
    settings = read_settings(EvolverSettings)
    return asyncio.run(_Help(settings, loop, run_id, token, EvolutionSettings.read(json.loads(asked))).give(who))


class _Help:
    """One helper's time with one run."""

    def __init__(self, settings: EvolverSettings, loop: str, run_id: str, token: str, asked: EvolutionSettings) -> None:
        self._settings, self._token, self._asked = settings, token, asked
        self._desk, self._connection = open_desk(settings, loop, run_id)
        self._counts: Counter[str] = Counter()
        self._parent = os.getppid()
        self._reason = ""

    async def give(self, who: str) -> dict[str, Any]:
        """Help; how many questions were answered, and why no more."""
        look, count = asyncio.create_task(self._look_around(), name="look"), 0
        try:
            if await self._desk.owner() != self._token:
                return {"answered": 0, "ended": "the run ended"}
            # Before the model is there, which may take long.
            if not await self._desk.arrive(who, CONNECTING_S):
                return {"answered": 0, "ended": "somebody else came"}
            llm = CountedLLM(
                connect_model(self._asked, self._settings), self._counts.update, self._settings.llm_concurrency_max
            )
            try:
                asker = Asker(self._desk, llm, who, self._settings.lease_ttl_s)
                count = await asker.run(lambda: bool(self._reason) or interrupt.requested.is_set() or look.done())
            finally:
                await llm.close()
        finally:
            await end(look)
            await self._flush()
            await self._connection.aclose()
        return {"answered": count, "ended": self._reason or "interrupted"}

    async def _look_around(self) -> None:
        while not self._reason:
            await asyncio.sleep(LOOK_S)
            if os.getppid() != self._parent:
                self._reason = "the worker is gone"
            elif await self._desk.owner() != self._token:
                self._reason = "the run ended"
            elif await self._connection.llen(f"rq:queue:{QUEUE}"):
                self._reason = "a run waits for a worker"
            await self._flush()

    async def _flush(self) -> None:
        counts = dict(self._counts)
        self._counts.clear()
        try:
            for name, amount in counts.items():
                await self._connection.hincrbyfloat(COUNTERS_KEY, name, amount)
        except RedisError as error:
            log.warning("counts were lost", extra={"reason": type(error).__name__})
