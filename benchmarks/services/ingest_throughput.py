"""How many events a CPU-second the ingest doors take, against what a pipelined client takes in the same run.

The limit is redis-py writing the same bytes with pipelined XADD, 1000 at a time, from one process: no HTTP, no checks, no
identity, no answers. Rates are per CPU-second of the process that does the work (the service, or the pipelining client), which
neighbours on the machine disturb least; the wall rate stands beside them. The service, the broker and the load are three processes.

Run: `python -m benchmarks.services.ingest_throughput` (about 40 s); `--seconds 1` for a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import httpx
import redis

from meta_learning.events import FeedbackReceived, parse_time
from meta_learning.streams.embedded import EmbeddedBroker

CONNECTIONS = 64
LOOPS = 16
TICKS = os.sysconf("SC_CLK_TCK")


def bodies(prefix: str) -> Iterator[bytes]:
    """Different events of about 290 bytes, over some loops."""
    noon = parse_time("2026-01-02T12:00:00Z")
    for number in itertools.count():
        yield FeedbackReceived(
            event_id=f"{prefix}-{number}",
            occurred_at=noon,
            loop=f"loop{number % LOOPS}",
            input_text="Where is my parcel? I ordered it nine days ago.",
            output_text="It left our house on Monday and should be with you tomorrow before noon.",
            feedback_score=(number % 5) / 4,
        ).encode()


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def service(redis_url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The ingest service as its own process; its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    settings = {
        "REDIS_URL": redis_url,
        "META_LEARNING_DATA_FOLDER": str(folder),
        "META_LEARNING_INGEST_PORT": str(port),
        "META_LEARNING_BACKLOG_COUNT_MAX": "100000000",
        "META_LEARNING_LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen([sys.executable, "-m", "services.ingest"], env=os.environ | settings)
    try:
        deadline = time.monotonic() + 60
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the service did not become ready")
            time.sleep(0.1)
        yield process, port
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


async def load(port: int, path: str, kind: str, body_of: Callable[[], bytes], connections: int, seconds: float) -> int:
    """Post bodies over kept connections for a while; how many were answered 2xx. A 503 waits a little; anything else ends the run."""
    answered, end = 0, time.monotonic() + seconds
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: ".encode()

    async def one() -> None:
        nonlocal answered
        async with connected(port) as (reader, writer):
            while time.monotonic() < end:
                body = body_of()
                writer.write(head + f"{len(body)}\r\n\r\n".encode() + body)
                said = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in said.lower().split(b"\r\n") if line.startswith(b"content-length"))
                answer = await reader.readexactly(int(length.split(b":")[1]))
                if said.startswith(b"HTTP/1.1 503"):  # the broker's disk was too slow for once: the service logs it
                    await asyncio.sleep(0.2)
                elif said.startswith(b"HTTP/1.1 20"):
                    answered += 1
                else:
                    raise RuntimeError(f"{said.splitlines()[0]!r} {answer[:200]!r}")

    await asyncio.gather(*(one() for _ in range(connections)))
    return answered


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        yield reader, writer
    finally:
        writer.close()


def limit(redis_url: str, seconds: float) -> tuple[float, float]:
    """Pipelined XADD of the same bytes: events a CPU-second of this process, and a second."""
    ready = list(itertools.islice(bodies("limit"), 1000))
    count, started, cpu = 0, time.perf_counter(), time.process_time()
    with redis.Redis.from_url(redis_url) as client:
        while time.perf_counter() - started < seconds:
            pipeline = client.pipeline(transaction=False)
            for body in ready:
                pipeline.execute_command("XADD", "limit", "MAXLEN", "~", 100_000, "*", "type", "F", "body", body)
            count += len(pipeline.execute())
    return count / (time.process_time() - cpu), count / (time.perf_counter() - started)


def measure(
    process: subprocess.Popen[bytes], port: int, door: tuple[str, str, int, int], seconds: float
) -> tuple[float, float]:
    """Load one door: events a CPU-second of the service, and a second."""
    path, kind, batch, connections = door
    events = bodies(f"{batch}-{time.time_ns()}")
    # Made before the clock runs: the load shares the cores with what it measures.
    ready = [_joined(list(itertools.islice(events, batch)), kind) for _ in range(int(20_000 * seconds) // batch + 1)]
    bodies_left = iter(ready)
    fresh = partial(_next_body, bodies_left, events, batch, kind)
    before, started = cpu_s(process.pid), time.perf_counter()
    answered = asyncio.run(load(port, path, kind, fresh, connections, seconds))
    wall = time.perf_counter() - started
    return answered * batch / (cpu_s(process.pid) - before), answered * batch / wall


def _next_body(ready: Iterator[bytes], events: Iterator[bytes], batch: int, kind: str) -> bytes:
    return next(ready, None) or _joined(list(itertools.islice(events, batch)), kind)


def _joined(events: list[bytes], kind: str) -> bytes:
    if len(events) == 1:
        return events[0]
    return b"[" + b",".join(events) + b"]" if kind == "application/json" else b"\n".join(events)


DOORS = {
    "single, 64 connections": ("/v1/feedback", "application/json", 1, CONNECTIONS),
    "single, 1 connection": ("/v1/feedback", "application/json", 1, 1),
    "batch of 100, JSON": ("/v1/feedback/batch", "application/json", 100, 8),
    "batch of 1000, JSON": ("/v1/feedback/batch", "application/json", 1000, 4),
    "batch of 1000, NDJSON": ("/v1/feedback/batch", "application/x-ndjson", 1000, 4),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each door is loaded")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedBroker(Path(folder) / "broker")
        url = broker.start()
        try:
            rows["limit: pipelined XADD"] = limit(url, arguments.seconds)
            with service(url, Path(folder)) as (process, port):
                for name, door in DOORS.items():
                    rows[name] = measure(process, port, door, arguments.seconds)
        finally:
            broker.stop()
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    top = next(iter(rows.values()))[0]
    print(f"{'':26}{'events/CPU-s':>14}{'of the limit':>14}{'events/s':>12}")
    for name, (per_cpu, per_wall) in rows.items():
        print(f"{name:26}{per_cpu:>14,.0f}{per_cpu / top:>14.1%}{per_wall:>12,.0f}")


if __name__ == "__main__":
    main()
