"""The monitor as an ASGI app: the folds and the system's watch run beside the operators' door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, Depends, FastAPI, Query
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry

from meta_learning import __version__
from meta_learning.clrs import LoopSettings
from meta_learning.events import SLUG_PATTERN
from meta_learning.serving.documentation import document_app
from meta_learning.serving.health import Check, health_doors
from meta_learning.serving.problems import answer_problems
from meta_learning.serving.requests import RequestContext
from meta_learning.serving.running import Work
from meta_learning.streams import Log
from services.monitor.api import changing_doors, reading_doors
from services.monitor.collecting import MonitorCollector
from services.monitor.consumer import PartitionConsumer
from services.monitor.guard import Guard
from services.monitor.live import Live
from services.monitor.metrics import PREFIX
from services.monitor.operator import Operator
from services.monitor.static import page_doors
from services.monitor.system import EVERY_S, watch_system
from services.monitor.view import View

BODY_BYTES_MAX = (
    256 * 1024
)  # a prompt of 32 Ki signs with each of them escaped; bodies are read before the key is asked for


class Parts:
    """Everything that the app joins, made in `__main__` or in a test."""

    def __init__(
        self,
        log: Log,
        view: View,
        consumers: Sequence[PartitionConsumer],
        operator: Operator,
        operator_key: str | None = None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.log = log
        self.view = view
        self.consumers = consumers
        self.operator = operator
        self.guard = Guard(operator_key)
        self.live = Live(view)
        self.work = Work(on_failure)
        self.system_every_s = EVERY_S


def monitor_app(parts: Parts, settings: LoopSettings) -> RequestContext:
    """Wire the monitor. Alive: no background work has failed. Ready: the broker answers and no fold has lost it."""
    parts.view.cycle_size = settings.cycle_size
    registry = CollectorRegistry()
    registry.register(MonitorCollector(parts.view, settings))
    app = FastAPI(
        title="Meta-learning monitor",
        version=__version__,
        summary="What the loops have learnt, and what an operator may ask of them.",
        lifespan=_lifespan(parts),
        max_body_size=BODY_BYTES_MAX,
        docs_url=None,
        redoc_url=None,
    )
    answer_problems(app)
    app.include_router(page_doors())
    app.include_router(_api(parts), prefix="/api", dependencies=[Depends(parts.guard)])
    checks: dict[str, Check] = {"broker": parts.log.ping, "folds": parts.view.check_ready}
    app.include_router(health_doors(registry, alive={"work": parts.work.check}, ready=checks))
    document_app(app)
    return RequestContext(app, registry, PREFIX)


def _lifespan(parts: Parts) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await parts.log.start()
        parts.work.start("system", watch_system(parts.log, parts.view, parts.system_every_s))
        for number, consumer in enumerate(parts.consumers):
            parts.work.start(f"partition {number}", consumer.run())
        try:
            yield
        finally:
            parts.live.close()
            await parts.work.stop()
            await parts.log.close()

    return lifespan


def _api(parts: Parts) -> APIRouter:
    router = APIRouter()

    @router.get("/live", include_in_schema=False)
    async def live(loop: str | None = Query(None, pattern=SLUG_PATTERN)) -> StreamingResponse:
        return parts.live.response(loop)

    router.include_router(reading_doors(parts.view, parts.operator))
    router.include_router(changing_doors(parts.operator))
    return router
