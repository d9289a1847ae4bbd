"""The trainer as an ASGI app: its work runs beside the health doors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from meta_learning.errors import WorldError
from meta_learning.serving.health import health_doors
from meta_learning.serving.problems import answer_problems
from meta_learning.serving.requests import RequestContext
from meta_learning.serving.running import Work
from meta_learning.streams import Log
from services.trainer.consumer import PartitionTrainer
from services.trainer.metrics import PREFIX, TrainerMetrics


def trainer_app(
    log: Log,
    trainers: Sequence[PartitionTrainer],
    archiving: Callable[[], Awaitable[None]],
    metrics: TrainerMetrics,
    work: Work | None = None,
) -> RequestContext:
    """Wire the trainer. Ready means: the broker answers and at least one partition is owned."""
    work = work or Work()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await log.start()
        for number, trainer in enumerate(trainers):
            work.start(f"partition {number}", trainer.run())
        work.start("archive", archiving())
        try:
            yield
        finally:
            for trainer in trainers:
                await trainer.release()
            await work.stop()
            await log.close()

    async def owns_something() -> None:
        owned = sum(trainer.owned for trainer in trainers)
        metrics.partitions_owned.set(owned)
        if not owned:
            raise WorldError("no partition is owned: another trainer holds the leases, or the broker is away")

    app = FastAPI(title="Trainer", lifespan=lifespan, openapi_url=None)
    answer_problems(app)
    app.include_router(
        health_doors(
            metrics.registry, alive={"work": work.check}, ready={"broker": log.ping, "partitions": owns_something}
        )
    )
    return RequestContext(app, metrics.registry, PREFIX)
