"""The helpers of one life of a run: asked for by name, and replaced one for one, whatever became of them."""

from __future__ import annotations

import asyncio
import logging
import uuid

from services.evolver.desk import Desk, helper_name
from services.evolver.helping import HelpQueue

log = logging.getLogger("evolver.crew")
HIRES_MAX = 100  # in a life of a run, above the first: helpers that die of their start would be hired for ever


class Crew:
    """The helpers of the owner of the lease ``token``, who come to ``desk`` by jobs of ``queue``."""

    def __init__(self, desk: Desk, token: str, queue: HelpQueue) -> None:
        self._desk, self._token, self._queue = desk, token, queue
        self._hires_left = HIRES_MAX

    async def hire(self) -> None:
        """Ask for one more.

        Raises:
            RedisError: it is expected, so `replace_gone` will ask for another.
        """
        who = self._new_name()
        # Expected before it is asked for: else it could come, or die, before anybody knows of it.
        await self._desk.expect(who)
        # In a thread: a broker that is slow to answer must not hold up the run's own calls.
        await asyncio.to_thread(self._queue.put, who)

    async def replace_gone(self) -> None:
        """One for one, killed or called away: the job of the new one waits until a worker is free.

        Raises:
            RedisError: look again later.
        """
        for who, came in (await self._desk.helpers(self._token)).items():
            # The job tells of most deaths at once, also where a helper was killed before it could say that it is here.
            state = await asyncio.to_thread(self._queue.state, who)
            if state == "over" or state == "late" or came:
                await self._replace(who, unless_here=state != "over")

    async def _replace(self, who: str, *, unless_here: bool) -> None:
        successor = self._new_name() if self._hires_left > 0 else None
        if not await self._desk.dismiss(who, successor, unless_here=unless_here):
            return
        log.warning("a helper is gone", extra={"who": who, "successor": successor})
        if successor is not None:
            self._hires_left -= 1
            await asyncio.to_thread(self._queue.put, successor)

    def _new_name(self) -> str:
        return helper_name(self._token, uuid.uuid4().hex[:12])
