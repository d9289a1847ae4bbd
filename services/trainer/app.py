"""The trainer as an ASGI app: its work runs beside the health doors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from meta_learning.errors import BrokerUnavailable, WorldError
from meta_learning.serving.health import health_doors
from meta_learning.serving.problems import answer_problems
from meta_learning.serving.requests import RequestContext
from meta_learning.serving.running import Work
from meta_learning.streams import Log
from services.trainer.consumer import PartitionTrainer
from services.trainer.metrics import PREFIX, TrainerMetrics

log = logging.getLogger("trainer")
START_RETRY_S = 1.0


def trainer_app(
    broker: Log,
    trainers: Sequence[PartitionTrainer],
    archiving: Callable[[], Awaitable[None]],
    metrics: TrainerMetrics,
    work: Work | None = None,
) -> RequestContext:
    """Wire the trainer. Ready means: the broker answers, a partition is owned, and none has stopped for a reason of its own."""
    work = work or Work()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        started = asyncio.Event()
        work.start("broker", _start(broker, started))
        for trainer in trainers:
            work.start(f"partition {trainer.partition}", _after(started, trainer.run))
        work.start("archive", _after(started, archiving))
        try:
            yield
        finally:
            await work.stop()
            await broker.close()

    async def partitions() -> str:
        owned = [trainer for trainer in trainers if trainer.owned]
        stopped = [
            f"partition {trainer.partition} has stopped: {trainer.stopped}" for trainer in trainers if trainer.stopped
        ]
        if stopped:
            raise WorldError("; ".join(stopped))
        if not owned:
            raise WorldError("no partition is owned: another trainer holds the leases, or the broker is away")
        return f"{len(owned)} of {len(trainers)} owned"

    metrics.partitions_owned.set_function(lambda: sum(trainer.owned for trainer in trainers))
    metrics.partitions_stopped.set_function(lambda: sum(trainer.stopped is not None for trainer in trainers))
    app = FastAPI(title="Trainer", lifespan=lifespan, openapi_url=None)
    answer_problems(app)
    ready = {"broker": broker.ping, "partitions": partitions}
    app.include_router(health_doors(metrics.registry, alive={"work": work.check}, ready=ready))
    return RequestContext(app, metrics.registry, PREFIX)


async def _start(broker: Log, started: asyncio.Event) -> None:
    """Start the log, waiting for a broker that is not there yet."""
    while not started.is_set():
        try:
            await broker.start()
            started.set()
        except BrokerUnavailable as error:
            log.warning("broker not there yet", extra={"reason": str(error)})
            await asyncio.sleep(START_RETRY_S)


async def _after(started: asyncio.Event, run: Callable[[], Awaitable[None]]) -> None:
    await started.wait()
    await run()
