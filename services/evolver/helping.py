"""The job of a helper: a worker that has no run of its own asks the model for somebody else's, as long as nobody needs it more."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections import Counter
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from meta_learning.acla.request import EvolutionSettings
from meta_learning.serving.ending import end
from meta_learning.serving.settings import read_settings
from services.evolver import interrupt
from services.evolver.asker import Asker
from services.evolver.desk import Desk, helper_name
from services.evolver.models import CountedLLM, connect_model
from services.evolver.queueing import COUNTERS_KEY, HELP_QUEUE, QUEUE, open_queue
from services.evolver.settings import EvolverSettings

log = logging.getLogger("evolver.helping")
JOB = "services.evolver.helping.assist"
LOOK_S = 0.5
CONNECTING_S = 60.0
HELPER_RESULT_TTL_S = 600


def open_desk(settings: EvolverSettings, loop: str, run_id: str) -> tuple[Desk, Any]:
    """The desk of a run, and the connection to close when it is left."""
    connection = redis.asyncio.Redis.from_url(settings.queue_url, socket_timeout=5.0, socket_connect_timeout=5.0)
    return Desk(connection, loop, run_id), connection


def hire(connection: Any, settings: EvolverSettings, loop: str, run_id: str, token: str, asked: dict[str, Any]) -> None:
    """Ask for one helper; whoever is free takes the job, and where nobody is, the run goes on without."""
    open_queue(connection, HELP_QUEUE).enqueue(
        JOB,
        args=(loop, run_id, token, json.dumps(asked)),
        job_id=f"help-{uuid.uuid4().hex}",
        job_timeout=round(settings.evolution_seconds_max) + 60,
        result_ttl=HELPER_RESULT_TTL_S,
        failure_ttl=HELPER_RESULT_TTL_S,
        description=f"help with evolution {run_id} of {loop}",
    )


def assist(loop: str, run_id: str, token: str, asked: str) -> dict[str, Any]:
    """Answer questions of the run whose lease is ``token``, until it ends or a run waits for a worker; called by RQ in a horse."""
    settings = read_settings(EvolverSettings)
    return asyncio.run(_Help(settings, loop, run_id, token, EvolutionSettings.read(json.loads(asked))).give())


class _Help:
    """One helper's time with one run."""

    def __init__(self, settings: EvolverSettings, loop: str, run_id: str, token: str, asked: EvolutionSettings) -> None:
        self._settings, self._token, self._asked = settings, token, asked
        self._desk, self._connection = open_desk(settings, loop, run_id)
        self._counts: Counter[str] = Counter()
        self._parent = os.getppid()
        self._reason = ""

    async def give(self) -> dict[str, Any]:
        """Help; how many questions were answered, and why no more."""
        look, count = asyncio.create_task(self._look_around(), name="look"), 0
        try:
            if await self._desk.owner() != self._token:
                return {"answered": 0, "ended": "the run ended"}
            who = helper_name(self._token, uuid.uuid4().hex[:12])
            # Before the model is there, which may take long: from now on the owner replaces whoever is killed.
            await self._desk.note_here(who, CONNECTING_S)
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
