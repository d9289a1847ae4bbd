"""Errors over HTTP as ``application/problem+json`` (RFC 9457), each naming the offending field where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from meta_learning.errors import (
    BackPressure,
    CallerError,
    MalformedEvent,
    MalformedInput,
    MetaLearningError,
    NotFound,
    WorldError,
)
from meta_learning.events import plain

TITLES = {
    400: "Bad request",
    401: "Not authorised",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Timed out",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid content",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available now",
}


def problem(status: int, detail: str, *, retry_after_s: float | None = None, **extra: Any) -> JSONResponse:
    """A problem+json answer; ``extra`` members (``field``, ``index``, …) are left out when None."""
    body = {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "detail": detail}
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, round(retry_after_s)))}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    members = body | {key: value for key, value in extra.items() if value is not None}
    return JSONResponse(members, status_code=status, headers=headers, media_type="application/problem+json")


def status_of(error: MetaLearningError) -> int:
    """The HTTP status that says whose turn it is: 4xx the caller's, 503 the world's."""
    match error:
        case NotFound():
            return 404
        case MalformedInput():
            return 422
        case CallerError():
            return 400
        case BackPressure():
            return 429
        case WorldError():
            return 503
        case _:
            return 500


def problem_of(error: MetaLearningError) -> JSONResponse:
    """One of our errors as a problem, with its field and when to try again."""
    field = error.field if isinstance(error, MalformedEvent) else None
    retry_after_s = (
        error.retry_after_s if isinstance(error, BackPressure) else 1.0 if isinstance(error, WorldError) else None
    )
    return problem(status_of(error), str(error), retry_after_s=retry_after_s, field=field)


def sentence_of(complaint: Mapping[str, Any]) -> str:
    """What one complaint of pydantic's says, in words that name the limit.

    >>> sentence_of({"type": "too_long", "ctx": {"max_length": 100, "actual_length": 101}, "msg": "List should have …"})
    'holds 101 items; at most 100 are accepted'
    """
    limits = complaint.get("ctx", {})
    match complaint["type"]:
        case "missing":
            return "is missing"
        case "too_long":
            return f"holds {limits['actual_length']} items; at most {limits['max_length']} are accepted"
        case "too_short":
            return f"holds {limits['actual_length']} items; at least {limits['min_length']} must be there"
        case "string_too_long":
            return f"is too long: at most {limits['max_length']} characters are accepted"
        case "string_too_short":
            return f"is too short: at least {limits['min_length']} characters must be there"
        case "extra_forbidden":
            return "is not a field of this request"
        case _:
            return plain(str(complaint["msg"]))


def answer_problems(app: FastAPI) -> None:
    """Make ``app`` answer every error as a problem; what it cannot name is a 500 without details."""

    @app.exception_handler(MetaLearningError)
    async def _ours(request: Request, error: MetaLearningError) -> JSONResponse:
        return problem_of(error)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        answer = problem(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})  # such as Allow and Retry-After
        return answer

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return problem(400, f"the body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}")
        field = ".".join(str(part) for part in first["loc"][1:]) or None  # the first part says where: body, query, path
        message = sentence_of(first)
        return problem(422, f"{field}: {message}" if field else message, field=field)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        return problem(500, "The request could not be handled; the log has the reason under this request's id.")
