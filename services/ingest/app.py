"""The ingest service as an ASGI app: request context, the feedback doors, then the framework with everything else."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from prometheus_client import CollectorRegistry

from meta_learning import __version__
from meta_learning.clrs.acting import Policy
from meta_learning.errors import BrokerUnavailable, ConfigurationError
from meta_learning.registry import Store
from meta_learning.registry.prompts import read_prompt
from meta_learning.serving.documentation import document_app
from meta_learning.serving.health import health_doors
from meta_learning.serving.problems import answer_problems
from meta_learning.serving.requests import RequestContext
from meta_learning.serving.running import Work
from meta_learning.streams import Log
from services.ingest.acting import Acting
from services.ingest.bodies import Bodies
from services.ingest.broker import Broker
from services.ingest.champions import Champions, KnownLoops
from services.ingest.contract import describe_feedback_doors
from services.ingest.door import Bounds, FeedbackDoor, Intake
from services.ingest.gathering import Gathering
from services.ingest.keys import Keys
from services.ingest.metrics import PREFIX, IngestMetrics
from services.ingest.outcomes import Promise
from services.ingest.reading import Predicts, Reading, reading_doors

log = logging.getLogger("ingest")


@dataclass(frozen=True, slots=True)
class Plan:
    """The values that the settings give to the parts of this service."""

    bounds: Bounds
    promise: Promise
    keys: Keys
    backlog_count_max: int
    waiting_count_max: int
    in_hand_bytes_max: int
    body_wait_s_max: float
    broker_wait_s_max: float
    champion_refresh_s: float
    champions_count_max: int
    predict_threads: int
    exploration: Policy
    asks_per_100: float
    cycle_size: int


def ingest_app(
    event_log: Log, store: Store, load_model: Callable[[bytes], Predicts], plan: Plan, work: Work | None = None
) -> RequestContext:
    """Wire the service. ``event_log`` is started and closed with the app; a broker that is away is waited for."""
    work = work or Work()
    metrics = IngestMetrics(CollectorRegistry())
    broker = Broker(event_log, metrics, plan.broker_wait_s_max, plan.backlog_count_max)
    gathering = Gathering(broker, metrics, plan.bounds.append_items_max, plan.waiting_count_max)
    bodies = Bodies(plan.in_hand_bytes_max, plan.body_wait_s_max)
    metrics.body_bytes.set_function(lambda: bodies.in_hand_bytes)
    executor = ThreadPoolExecutor(plan.predict_threads, thread_name_prefix="predict")
    intake = Intake(broker, gathering, bodies, plan.promise, plan.bounds, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await _start(broker, work)
        yield
        await gathering.close()
        await work.stop()
        await broker.close()
        executor.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="Ingest",
        version=__version__,
        summary="Feedback in; the current prompt and the current model's ranking out.",
        lifespan=lifespan,
        max_body_size=plan.bounds.batch_bytes_max,
        docs_url=None,
        redoc_url=None,
    )
    answer_problems(app)
    reading = _reading(broker, store, load_model, plan, metrics, executor)
    app.include_router(reading_doors(reading, plan.keys))
    ready = {"broker": broker.check, "backlog": broker.backlog}
    app.include_router(health_doors(metrics.registry, alive={"work": work.check}, ready=ready))
    describe_feedback_doors(app, plan.bounds)
    document_app(app)
    app.add_api_route("/", _to_docs, include_in_schema=False)
    return RequestContext(FeedbackDoor(app, intake, plan.keys), metrics.registry, PREFIX)


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")


async def _start(broker: Broker, work: Work) -> None:
    try:
        await broker.start()
    except BrokerUnavailable:
        # The doors open all the same: they answer 503 with Retry-After, and the readiness door says why.
        work.start("waiting for the broker", broker.start_when_possible())
    except ConfigurationError as error:
        log.critical("configuration", extra={"reason": str(error)})
        raise


def _reading(
    broker: Broker,
    store: Store,
    load_model: Callable[[bytes], Predicts],
    plan: Plan,
    metrics: IngestMetrics,
    executor: ThreadPoolExecutor,
) -> Reading:
    refresh_s, count_max = plan.champion_refresh_s, plan.champions_count_max
    return Reading(
        models=Champions("model", broker, store, load_model, metrics, refresh_s, count_max),
        prompts=Champions("prompt", broker, store, read_prompt, metrics, refresh_s, count_max),
        loops=KnownLoops(broker, refresh_s),
        executor=executor,
        metrics=metrics,
        acting=Acting(plan.exploration, plan.asks_per_100, plan.cycle_size),
    )
