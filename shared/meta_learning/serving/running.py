"""Run a service: one process, one event loop, one HTTP server, and the work beside it; SIGTERM drains and stops it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp

from meta_learning.errors import ConfigurationError, MetaLearningError

log = logging.getLogger("service")


class Work:
    """Background coroutines of a service. One that fails is logged, makes the service unhealthy, and calls ``on_failure``.

    A program passes `stop_this_process`: whoever supervises it starts it afresh from its last commit.
    """

    def __init__(self, on_failure: Callable[[], None] = lambda: None) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._on_failure = on_failure

    def start(self, name: str, coroutine: Awaitable[None]) -> None:
        """Run ``coroutine`` until it ends or `stop` cancels it."""
        self._tasks.append(asyncio.create_task(self._watched(name, coroutine), name=name))

    async def _watched(self, name: str, coroutine: Awaitable[None]) -> None:
        try:
            await coroutine
        except Exception:
            log.exception("work failed", extra={"work": name})
            self._on_failure()
            raise

    async def check(self) -> None:
        """Raises when a piece of work has failed (for ``/healthz``)."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise MetaLearningError(f"{task.get_name()} failed: {type(error).__name__}: {error}")

    async def stop(self) -> None:
        """Cancel what still runs and wait for it to put its things away."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def stop_this_process() -> None:
    """Ask this process to drain and end, as SIGTERM does."""
    signal.raise_signal(signal.SIGTERM)


def serve(app: ASGIApp, host: str, port: int, drain_s: int = 5) -> None:
    """Serve ``app`` until SIGTERM or SIGINT; open requests get ``drain_s`` seconds to finish."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=drain_s,
        lifespan="on",
        server_header=False,
        timeout_keep_alive=30,
    )


def exit_on_bad_settings(start: Callable[[], None]) -> None:
    """Run ``start``; a configuration mistake ends the process with one clear line and status 2."""
    try:
        start()
    except ConfigurationError as error:
        sys.exit(f"configuration: {error}")
