"""The three doors that every service has: ``/healthz`` (alive), ``/readyz`` (can do its work now), ``/metrics``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from meta_learning.errors import MetaLearningError

Check = Callable[[], Awaitable[str | None]]


def health_doors(registry: CollectorRegistry, *, alive: Mapping[str, Check], ready: Mapping[str, Check]) -> APIRouter:
    """Routes for the doors. A check passes by returning (a note to show, or None) and fails by raising a `MetaLearningError`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        return await _answer(alive)

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        return await _answer({**alive, **ready})

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


async def _answer(checks: Mapping[str, Check]) -> JSONResponse:
    notes, failing = {}, False
    for name, check in checks.items():
        try:
            notes[name] = await check() or "ok"
        except MetaLearningError as error:
            notes[name], failing = str(error), True
    return JSONResponse(
        {"status": "failing" if failing else "ok", "checks": notes}, status_code=503 if failing else 200
    )
