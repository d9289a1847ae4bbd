"""The three doors that every service has: ``/healthz`` (alive), ``/readyz`` (can do its work now), ``/metrics``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from meta_learning.errors import MetaLearningError

Check = Callable[[], Awaitable[None]]


def health_doors(registry: CollectorRegistry, *, alive: dict[str, Check], ready: dict[str, Check]) -> APIRouter:
    """Routes for the doors. A check passes by returning and fails by raising a `MetaLearningError` that says why."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        return await _answer(alive)

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        return await _answer(alive | ready)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


async def _answer(checks: dict[str, Check]) -> JSONResponse:
    failures = {}
    for name, check in checks.items():
        try:
            await check()
        except MetaLearningError as error:
            failures[name] = str(error)
    body = {"status": "failing" if failures else "ok", "checks": {name: failures.get(name, "ok") for name in checks}}
    return JSONResponse(body, status_code=503 if failures else 200)
