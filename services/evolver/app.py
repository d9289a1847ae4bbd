"""The evolver's doors: alive, ready, metrics. The work goes on beside them, in the relay, the reaper and the workers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from redis.exceptions import RedisError

from meta_learning.errors import BrokerUnavailable, ConfigurationError
from meta_learning.serving.health import health_doors
from meta_learning.serving.problems import answer_problems
from meta_learning.serving.requests import RequestContext
from meta_learning.serving.running import Work, stop_this_process
from meta_learning.streams import Log
from services.evolver.metrics import Metrics, P
from services.evolver.queueing import connect, open_queue
from services.evolver.reaper import Reaper
from services.evolver.relay import RequestRelay
from services.evolver.settings import EvolverSettings
from services.evolver.staff import Staff


def make_app(settings: EvolverSettings, stream: Log, staff: Staff | None = None) -> FastAPI:
    """The application; its lifespan starts and ends the work. ``stream`` is closed with it."""
    registry, work = CollectorRegistry(), Work()
    metrics = Metrics(registry)
    queue = open_queue(connect(settings.queue_url))
    staff = staff or Staff(settings.evolver_workers_count)
    metrics.workers.set_function(lambda: len(staff.alive))
    metrics.restarts.set_function(lambda: staff.restarts_count)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        work.start("stream", _serve_stream())
        try:
            yield
        finally:
            await work.stop()
            await stream.close()
            queue.connection.close()

    async def _serve_stream() -> None:
        # Nothing begins before the log's layout is known to fit: on a wrong one every job would fail for good.
        try:
            await started(stream)
        except ConfigurationError as error:
            app.state.refused = error
            stop_this_process()
            return
        work.start("reaper", Reaper(stream, queue, settings.lease_ttl_s, metrics).run())
        work.start("workers", staff.run())
        # A stable name: what a killed evolver left unacknowledged is this consumer's own again after a restart.
        await RequestRelay(stream, queue, settings, metrics).run(f"evolver-{socket.gethostname()}")

    async def queue_answers() -> None:
        try:
            await asyncio.to_thread(queue.connection.ping)
        except RedisError as error:
            raise BrokerUnavailable(f"the job queue does not answer: {type(error).__name__}") from None

    app = FastAPI(title="evolver", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    answer_problems(app)
    app.state.refused = None
    ready = {"log": stream.ping, "queue": queue_answers, "workers": staff.check}
    app.include_router(health_doors(registry, alive={"work": work.check}, ready=ready))
    app.add_middleware(RequestContext, registry=registry, prefix=P)
    return app


async def started(stream: Log) -> None:
    """Start the log, waiting for a broker that is not there yet."""
    while True:
        try:
            await stream.start()
            return
        except BrokerUnavailable:
            await asyncio.sleep(1.0)
