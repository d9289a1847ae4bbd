"""The doors of the server."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from benchmarks.llm_server.answering import Answering, NotRecorded
from benchmarks.llm_server.protocol import Body, completion, purpose_of, refusal
from benchmarks.llm_server.records import Call, OverCap, Recording, Records
from meta_learning.errors import CallerError, MetaLearningError
from meta_learning.llm import LLM
from meta_learning.llm import Request as Question

UNTAGGED = "untagged"


def application(llm: LLM | None, records: Records, temperature_default: float = 1.0) -> FastAPI:
    """The server over ``llm``, or over the recordings alone where it is None. Closing both stays with the caller."""
    app = FastAPI(title="One model for all arms", docs_url=None, redoc_url=None)
    answering = Answering(llm, records, temperature_default)

    @app.post("/v1/chat/completions")
    async def chat(
        body: Body,
        authorization: Annotated[str | None, Header()] = None,
        x_purpose: Annotated[str | None, Header()] = None,
    ) -> dict[str, Any]:
        return await _counted(answering, records, body, _tag(authorization), purpose_of(body, x_purpose))

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        one = {"id": records.model, "object": "model", "created": 0, "owned_by": "local"}
        return {"object": "list", "data": [one]}

    @app.post("/caps")
    async def caps(wanted: dict[str, int | None]) -> dict[str, int]:
        return records.set_caps(wanted)

    @app.get("/meter")
    async def meter(tag: str | None = None) -> dict[str, Any]:
        return records.meter(tag) if tag is not None else {"tags": [records.meter(one) for one in records.tags()]}

    @app.delete("/meter")
    async def forget(tag: str) -> dict[str, Any]:
        records.forget(tag)
        return records.meter(tag)

    _refusals(app)
    return app


async def _counted(answering: Answering, records: Records, body: Body, tag: str, purpose: str) -> dict[str, Any]:
    """Answer all choices at the same time: each is a call, and the first alone pays for the prompt."""
    # ``logprobs`` alone asks for the log-probability of what was said, which is the most probable token at temperature 0.
    ranked_count = max(body.ranked_count, 1) if body.logprobs else 0
    records.reserve(tag, body.n or 1)

    async def choice(number: int, request: Question) -> Recording:
        started = time.perf_counter()
        try:
            answer, known = await answering.answer(request, ranked_count)
        except BaseException:
            records.give_back(tag, 1)
            raise
        asked, took = 0 if number else answer.prompt_tokens, time.perf_counter() - started
        digest = answering.digest(request)
        records.count(Call(tag, purpose, asked, answer.completion_tokens, took, time.time(), digest, known))
        return answer

    choices = (choice(number, request) for number, request in enumerate(answering.requests(body, tag)))
    answers = await asyncio.gather(*choices, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return completion(body, records.model, [answer for answer in answers if isinstance(answer, Recording)])


def _tag(authorization: str | None) -> str:
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() or UNTAGGED if scheme.lower() == "bearer" else UNTAGGED


def _refusals(app: FastAPI) -> None:
    """Every error in the form that OpenAI's SDKs read."""

    @app.exception_handler(OverCap)
    async def over_cap(request: Request, error: OverCap) -> JSONResponse:
        # SDKs wait and try again after a 429, unless they are told not to.
        return JSONResponse(refusal(str(error), "insufficient_quota"), 429, {"x-should-retry": "false"})

    @app.exception_handler(NotRecorded)
    async def not_recorded(request: Request, error: NotRecorded) -> JSONResponse:
        return JSONResponse(refusal(str(error), "not_recorded"), 404, {"x-should-retry": "false"})

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse(refusal(f"{field}: {first['msg']}", "invalid_request_error", field), 400)

    @app.exception_handler(MetaLearningError)
    async def failed(request: Request, error: MetaLearningError) -> JSONResponse:
        if isinstance(error, CallerError):
            return JSONResponse(refusal(str(error), "invalid_request_error"), 400)
        return JSONResponse(refusal(str(error), "server_error"), 503)
