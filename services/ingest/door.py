"""The feedback doors as plain ASGI, in front of the framework: five times as many events a CPU-second as through its routing.

``POST /v1/feedback`` takes one JSON object, ``POST /v1/feedback/batch`` a JSON array or NDJSON. Both answer 2xx only
after the broker has the event. Everything else passes on to the app behind.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from meta_learning.errors import BackPressure, MetaLearningError
from meta_learning.serving.problems import TITLES, problem, problem_of
from meta_learning.streams import Receipt, Taken
from services.ingest import items, outcomes
from services.ingest.batch import Outcomes, take_batch
from services.ingest.bodies import JSON, NDJSON, Bodies, header, media_type
from services.ingest.broker import Broker
from services.ingest.gathering import Gathering
from services.ingest.keys import Keys
from services.ingest.metrics import IngestMetrics

log = logging.getLogger("ingest.door")
_TRACEPARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_JSON = b"application/json"
_PROBLEM = b"application/problem+json"
Answer = tuple[int, dict[str, Any], float | None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one request may hold."""

    single_bytes_max: int
    batch_bytes_max: int
    batch_items_max: int
    append_items_max: int


class FeedbackDoor:
    """Wraps the app; one instance a process."""

    def __init__(self, app: ASGIApp, intake: Intake, keys: Keys) -> None:
        self._app = app
        self._keys = keys
        self._intake = intake
        self._doors = {"/v1/feedback": intake.single, "/v1/feedback/batch": intake.batch}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        take = self._doors.get(scope["path"]) if scope["type"] == "http" else None
        if take is None:
            await self._app(scope, self._intake.timed(receive) if scope["type"] == "http" else receive, send)
            return
        try:
            await self._admit(scope, receive)
            status, body, retry_after_s = await take(scope, receive)
        except HTTPException as error:
            answer = problem(error.status_code, error.detail)
            answer.headers.update(error.headers or {})
            await answer(scope, receive, send)
        except MetaLearningError as error:
            await problem_of(error)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the last guard; the message of an unforeseen error may hold a user's text
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("unforeseen", extra={"error": type(error).__name__, "where": where})
            await problem(500, "The request could not be handled; the log has the reason.")(scope, receive, send)
        else:
            await _say(send, status, body, retry_after_s)

    async def _admit(self, scope: Scope, receive: Receive) -> None:
        if scope["method"] != "POST":
            raise HTTPException(405, "this door takes POST", headers={"Allow": "POST"})
        try:
            self._refuse_foreign_pages(scope)
            self._keys.admit(
                header(scope, b"authorization").decode("latin-1"),
                "ingest",
                header(scope, b"x-api-key").decode("latin-1"),
            )
        except HTTPException:
            await self._intake.refuse_body(scope, receive)
            raise

    def _refuse_foreign_pages(self, scope: Scope) -> None:
        """Without keys, any page in a browser on this machine could post here (a body without a type asks for no preflight)."""
        if not self._keys.entries and header(scope, b"sec-fetch-site") == b"cross-site":
            raise HTTPException(403, "a page of another site may not send feedback here")


class Intake:
    """Takes what the doors let in."""

    def __init__(
        self,
        broker: Broker,
        gathering: Gathering,
        bodies: Bodies,
        promise: outcomes.Promise,
        bounds: Bounds,
        metrics: IngestMetrics,
    ) -> None:
        self._broker = broker
        self._gathering = gathering
        self._bodies = bodies
        self._promise = promise
        self._bounds = bounds
        self._metrics = metrics
        self._said = {"identity_window_s": promise.identity_window_s, "durability": promise.durability}

    def timed(self, receive: Receive) -> Receive:
        """``receive`` for the doors behind: their bodies must come in time too."""
        return self._bodies.timed(receive)

    async def refuse_body(self, scope: Scope, receive: Receive) -> None:
        """Let a refused sender finish, so that it reads the refusal instead of a broken connection."""
        await self._bodies.discard(scope, receive, self._bounds.batch_bytes_max)

    async def single(self, scope: Scope, receive: Receive) -> Answer:
        """``POST /v1/feedback``."""
        body = await self._body(scope, receive, JSON, self._bounds.single_bytes_max)
        reading = items.read_single(body)
        if isinstance(reading, items.Fault):
            self._metrics.count("invalid")
            status = 400 if reading.malformed else 422
            return _trouble(status, reading.detail, outcome="invalid", field=reading.field)
        try:
            receipt = await self._gathering.append(reading.event, traceparent_of(scope))
        except MetaLearningError as error:
            self._metrics.count("not_sent" if isinstance(error, BackPressure) else "unknown")
            raise
        return self._single_answer(reading, receipt)

    def _single_answer(self, reading: items.Reading, receipt: Receipt) -> Answer:
        taken, event_id = receipt.taken, reading.event.event_id
        self._metrics.count(taken.value)
        status = outcomes.STATUS[taken]
        if (detail := self._promise.detail(taken)) is not None:
            retry_after_s = self._promise.retry_after_s if taken is Taken.BACK_PRESSURE else None
            field = outcomes.field_of(taken)
            return _trouble(status, detail, retry_after_s, outcome=taken.value, event_id=event_id, field=field)
        body = {"event_id": event_id, "outcome": taken.value, "entry_id": receipt.entry_id, **self._said}
        if reading.ignored:
            body["ignored"] = reading.ignored
        return status, body, None

    async def batch(self, scope: Scope, receive: Receive) -> Answer:
        """``POST /v1/feedback/batch``."""
        body = await self._body(scope, receive, JSON | NDJSON, self._bounds.batch_bytes_max)
        with self._bodies.hold(len(body)):
            raw_items, read = self._split(body, media_type(scope, JSON | NDJSON) in NDJSON)
            del body
            self._metrics.batch_items.observe(len(raw_items))
            result = await take_batch(
                self._broker, raw_items, read, self._promise, self._bounds.append_items_max, traceparent_of(scope)
            )
        return self._batch_answer(result)

    def _split(self, body: bytes, is_lines: bool) -> tuple[list[Any], Callable[[Any], items.Reading | items.Fault]]:
        if is_lines:
            raw_items: list[Any] = items.split_lines(body)
            read: Callable[[Any], items.Reading | items.Fault] = partial(
                items.read_line, bytes_max=self._bounds.single_bytes_max
            )
        else:
            try:
                raw_items, read = items.read_array(body), items.read_element
            except ValueError as error:
                raise HTTPException(400, f"not a JSON array: {error}") from None
        if len(raw_items) > self._bounds.batch_items_max:
            raise HTTPException(413, f"{len(raw_items)} items; a batch holds at most {self._bounds.batch_items_max}")
        if not raw_items:
            raise HTTPException(422, "the batch holds no items")
        return raw_items, read

    def _batch_answer(self, result: Outcomes) -> Answer:
        counts: dict[str, int] = {}
        for item in result.items:
            counts[item["outcome"]] = counts.get(item["outcome"], 0) + 1
        for outcome, count in counts.items():
            self._metrics.count(outcome, count)
        body = {"counts": counts, **self._said, "items": result.items}
        if result.broken_off is not None:
            return _trouble(503, f"{result.broken_off}: send again with the same event_ids", 1.0, **body)
        status = outcomes.batch_status(result.items)
        retry_after_s = self._promise.retry_after_s if "back_pressure" in counts else None
        if status >= 400:
            return _trouble(status, "no item was taken: each says why", retry_after_s, **body)
        return status, body, retry_after_s

    async def _body(self, scope: Scope, receive: Receive, accepted: frozenset[str], bytes_max: int) -> bytes:
        try:
            media_type(scope, accepted)
        except HTTPException:
            await self.refuse_body(scope, receive)
            raise
        return await self._bodies.read(scope, receive, bytes_max)


def traceparent_of(scope: Scope) -> str | None:
    """The W3C trace context of the request, when it has one that is well formed."""
    given = header(scope, b"traceparent")
    return given.decode() if _TRACEPARENT.fullmatch(given) else None


def _trouble(status: int, detail: str, retry_after_s: float | None = None, **members: Any) -> Answer:
    body = {"type": "about:blank", "title": TITLES[status], "status": status, "detail": detail}
    return status, body | {name: value for name, value in members.items() if value is not None}, retry_after_s


async def _say(send: Send, status: int, body: dict[str, Any], retry_after_s: float | None) -> None:
    payload = to_json(body)
    headers = [(b"content-type", _PROBLEM if status >= 400 else _JSON), (b"content-length", b"%d" % len(payload))]
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(retry_after_s))))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})
