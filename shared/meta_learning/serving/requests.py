"""Pure ASGI middleware: every request gets an id, a line in the log and a place in the latency histogram.

(Starlette's decorator middleware costs about three times as much on a cheap route.)
"""

from __future__ import annotations

import logging
import re
import time
import uuid

from prometheus_client import CollectorRegistry, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meta_learning.serving.logs import request_id

log = logging.getLogger("requests")
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# A method is any word that a client likes; as a label each new one would cost memory for ever.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_QUIET = {"/metrics", "/healthz", "/readyz"}


class RequestContext:
    """Wraps an ASGI app: takes ``X-Request-ID`` when it is harmless, else makes one, and answers with it."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry, prefix: str) -> None:
        self._app = app
        self._seconds = Histogram(
            f"{prefix}_request_seconds", "Time to answer an HTTP request.", ["method", "status"], registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        token = request_id.set(given.decode() if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex)
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", (request_id.get() or "").encode())]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._seconds.labels(method, str(status)).observe(seconds)
            if scope["path"] not in _QUIET:
                fields = {
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "seconds": round(seconds, 6),
                }
                log.log(
                    logging.WARNING if status >= 500 else logging.DEBUG if status < 400 else logging.INFO,
                    "request",
                    extra=fields,
                )
            request_id.reset(token)
