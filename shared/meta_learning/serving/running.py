"""Run a service: one process, one event loop, one HTTP server, and the work beside it; SIGTERM drains and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp

from meta_learning.errors import ConfigurationError, MetaLearningError
from meta_learning.serving.ending import end

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
        await end(*self._tasks)


_FAILED = threading.Event()  # of this process: whoever supervises it must not take its end for a wish


def stop_this_process() -> None:
    """Ask this process to drain and end because its work has failed: as SIGTERM does, but `serve` then ends it with status 1."""
    _FAILED.set()
    signal.raise_signal(signal.SIGTERM)


class _Server(uvicorn.Server):
    """A server that says when it begins to stop: streams without an end (live pages) must be told, or it waits for them."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the app, then drain and stop."""
        self._on_stop()
        await super().shutdown(sockets)


def server_for(
    app: ASGIApp, host: str, port: int, drain_s: int = 5, on_stop: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    """The HTTP server for ``app``; ``on_stop`` is called when it begins to stop, before open requests are waited for."""
    config = uvicorn.Config(
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
    return _Server(config, on_stop)


def serve(app: ASGIApp, host: str, port: int, drain_s: int = 5, on_stop: Callable[[], None] = lambda: None) -> None:
    """Serve ``app`` until SIGTERM or SIGINT; open requests get ``drain_s`` seconds to finish.

    A server that could not start (its lifespan failed, its port is taken) ends the process with status 3, and one whose work has
    failed (`stop_this_process`) with status 1.
    """
    server = server_for(app, host, port, drain_s, on_stop)
    # uvicorn drains, then raises the signal again for whoever waits: taken here, a clean stop ends with status 0.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)
    if _FAILED.is_set():
        sys.exit(1)


def exit_on_bad_settings(start: Callable[[], None]) -> None:
    """Run ``start``; a configuration mistake ends the process with one clear line and status 2."""
    try:
        start()
    except ConfigurationError as error:
        print(f"configuration: {error}", file=sys.stderr)
        sys.exit(2)
