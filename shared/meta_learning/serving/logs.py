"""Structured logs: one JSON object a line on stderr, with the service's name and the id of the request in hand.

Logs never carry texts, keys or scores of users: log ids, counts and reasons.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class _Context(logging.Filter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        record.service = self._service
        if (current := request_id.get()) is not None:
            record.request_id = current
        return True


def log_as_json(service: str, level: str = "INFO") -> None:
    """Send every log record of this process to stderr as JSON lines; call once, at start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            datefmt="%Y-%m-%dT%H:%M:%S%z",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    handler.addFilter(_Context(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("uvicorn.access", "httpx", "httpx2", "rq.worker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
