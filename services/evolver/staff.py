"""The worker processes: started, watched, restarted with back-off, and ended with the service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import uuid
from collections.abc import Mapping

from meta_learning.errors import MetaLearningError

log = logging.getLogger("evolver.staff")
BACK_OFF_MIN_S, BACK_OFF_MAX_S = 0.5, 30.0
STEADY_S = 60.0  # a worker that lived so long did not die of its start: back-off begins anew
WARM_S, COLD_S = 5.0, 1.5  # SIGTERM, then SIGTERM again (RQ takes its horse down), then SIGKILL: under 8 s together


class Staff:
    """``count`` worker processes. `run` keeps them alive until it is cancelled, then ends them."""

    def __init__(self, count: int, environment: Mapping[str, str] | None = None) -> None:
        self._count = count
        self._environment = environment
        self.alive: dict[int, asyncio.subprocess.Process] = {}
        self.restarts_count = 0

    async def run(self) -> None:
        """Keep the workers alive until cancelled."""
        async with asyncio.TaskGroup() as group:
            for slot in range(self._count):
                group.create_task(self._keep(slot), name=f"worker {slot}")

    async def check(self) -> None:
        """Raises unless every worker process is alive (for ``/readyz``)."""
        missing = self._count - len(self.alive)
        if missing:
            raise MetaLearningError(f"{missing} of {self._count} worker processes are not running")

    async def _keep(self, slot: int) -> None:
        back_off_s = BACK_OFF_MIN_S
        while True:
            started = asyncio.get_running_loop().time()
            await self._watch(slot)
            lived_s = asyncio.get_running_loop().time() - started
            back_off_s = BACK_OFF_MIN_S if lived_s > STEADY_S else back_off_s
            self.restarts_count += 1
            await asyncio.sleep(back_off_s)
            back_off_s = min(2 * back_off_s, BACK_OFF_MAX_S)

    async def _watch(self, slot: int) -> None:
        # A session of its own: Ctrl-C in a terminal reaches the service alone, which then ends its workers in order.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.evolver.worker", f"evolver-{slot}-{uuid.uuid4().hex[:8]}"),
            stdin=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        self.alive[slot] = process
        try:
            status = await process.wait()
            log.warning("a worker ended", extra={"slot": slot, "status": status})
        finally:
            del self.alive[slot]
            if process.returncode is None:
                await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    for patience_s in (WARM_S, COLD_S):
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await process.wait()
            return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    await process.wait()
