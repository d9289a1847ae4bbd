"""The ingest service on a free port in a thread of its own, over any log: what its tests talk to through real HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from meta_learning.clrs.acting import Greedy
from meta_learning.errors import MalformedState
from meta_learning.registry.store import MemoryStore
from meta_learning.streams import Log
from services.ingest.app import Plan, ingest_app
from services.ingest.door import Bounds
from services.ingest.keys import Keys
from services.ingest.outcomes import Promise
from services.ingest.reading import Predicts

PLAN = Plan(
    bounds=Bounds(
        single_bytes_max=512 * 1024, batch_bytes_max=16 * 2**20, batch_items_max=10_000, append_items_max=1000
    ),
    promise=Promise(identity_window_s=86_400, durability="everysec", loops_count_max=10_000, retry_after_s=2.0),
    keys=Keys(),
    backlog_count_max=100_000,
    waiting_count_max=10_000,
    in_hand_bytes_max=256 * 2**20,
    body_wait_s_max=5.0,
    broker_wait_s_max=3.0,
    champion_refresh_s=0.0,
    champions_count_max=4,
    predict_threads=1,
    exploration=Greedy(),
    asks_per_100=100.0,
    cycle_size=100,
)
GOOD = {
    "loop": "support",
    "input_text": "Where is my parcel?",
    "output_text": "It arrives tomorrow before noon.",
    "feedback_score": 1.0,
}


def plan(**changes: Any) -> Plan:
    """`PLAN` with other values; those of its bounds go by their own names."""
    bounds = {name: changes.pop(name) for name in list(changes) if hasattr(PLAN.bounds, name)}
    return replace(PLAN, bounds=replace(PLAN.bounds, **bounds), **changes)


def good(event_id: str | None = None, **changes: Any) -> dict[str, Any]:
    """One good item."""
    return GOOD | ({} if event_id is None else {"event_id": event_id}) | changes


class WordModel:
    """Scores an answer by how often it says the word that the version consists of."""

    def __init__(self, blob: bytes) -> None:
        if blob == b"broken":
            raise MalformedState("this is no model")
        self._word = blob.decode()

    def predict(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        if self._word == "raises":
            raise RuntimeError("the private text of a user")
        return [min(1.0, output.count(self._word) / 4) for _, output in pairs]


@dataclass
class Door:
    """A served app: a client to it, and what lies behind it."""

    http: httpx.Client
    url: str
    stop: Callable[[], None]
    store: MemoryStore = field(default_factory=MemoryStore)

    def send(self, body: Any, **headers: str) -> httpx.Response:
        """POST one item as JSON."""
        return self.http.post("/v1/feedback", json=body, headers=headers)

    def batch(self, body: Any) -> httpx.Response:
        """POST a JSON array."""
        return self.http.post("/v1/feedback/batch", json=body)

    def lines(self, body: bytes) -> httpx.Response:
        """POST NDJSON."""
        return self.http.post("/v1/feedback/batch", content=body, headers={"Content-Type": "application/x-ndjson"})

    def metric(self, line_start: str) -> float:
        """The value of the first sample whose line starts so."""
        text = self.http.get("/metrics").text
        return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(line_start)), 0.0)


def wait_until(true: Callable[[], bool], wait_s_max: float = 15.0) -> None:
    """Ask until it is so; what is asked is another process or thread, which nobody here can await."""
    pause, deadline = threading.Event(), time.monotonic() + wait_s_max
    while not true():
        assert time.monotonic() < deadline, "it did not become so"
        pause.wait(0.02)


@contextmanager
def door(log: Log, plan: Plan = PLAN, load_model: Callable[[bytes], Predicts] = WordModel) -> Iterator[Door]:
    """Serve the ingest app over ``log``."""
    store = MemoryStore()
    app = ingest_app(log, store, load_model, plan)
    with served(app) as (url, stop), httpx.Client(base_url=url, timeout=20.0) as http:
        yield Door(http, url, stop, store)


@contextmanager
def served(app: ASGIApp) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve any app with uvicorn in a thread; its URL, and a call that asks it to drain and end."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    # The protocol must be said: asyncio switches Nagle's algorithm off only then, and with it each answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert started.wait(20), "the server did not start"

    def stop() -> None:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not end"

    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", stop
    finally:
        stop()
