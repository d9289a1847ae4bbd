"""A real evolver process against a real broker and a loopback model, for one test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.mourning import ends_with_us

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EvolverProcess:
    """``python -m services.evolver``; `url` answers once `wait_until_ready` returns."""

    def __init__(self, broker_url: str, model_url: str, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {
            name: value for name, value in os.environ.items() if "API_KEY" not in name and "REDIS" not in name
        }
        environment |= {
            "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}",
            "REDIS_URL": broker_url,
            "OPENAI_BASE_URL": model_url,
            "META_LEARNING_LLM_MODEL": "loopback",
            "META_LEARNING_EVOLVER_PORT": str(self.port),
            "META_LEARNING_DATA_FOLDER": str(folder),
            **settings,
        }
        self.log = folder / f"evolver-{self.port}.log"
        folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.evolver"], env=environment, cwd=folder, stdout=log, stderr=log
            )
        ends_with_us(self.process.pid)

    def wait_until_ready(self, timeout_s: float = 40.0) -> None:
        """Return once ``/readyz`` is green."""
        assert self.becomes(200, timeout_s), self.log.read_text()

    def becomes(self, status: int, timeout_s: float = 30.0) -> bool:
        """Whether ``/readyz`` answers with ``status`` in time."""
        pause, deadline = threading.Event(), time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5.0).status_code == status:
                    return True
            except httpx.TransportError:
                pass
            pause.wait(0.2)
        return False

    def readiness(self) -> dict[str, str]:
        """What ``/readyz`` says, check by check."""
        checks: dict[str, str] = httpx.get(f"{self.url}/readyz", timeout=5.0).json()["checks"]
        return checks

    def metrics(self) -> str:
        """The metrics page."""
        return httpx.get(f"{self.url}/metrics", timeout=5.0).text

    def family(self) -> dict[int, int]:
        """The live descendants: process id -> id of its parent."""
        return descendants(self.process.pid)

    def workers(self) -> dict[int, int]:
        """Workers and their horses: process id -> id of its parent."""
        sign = b"services.evolver.worker"
        return {pid: parent for pid, parent in self.family().items() if sign in _read(pid, "cmdline")}

    def kill_workers(self) -> int:
        """SIGKILL every worker and horse; how many processes."""
        victims = self.workers()
        kill(victims)
        return len(victims)

    def stop(self, patience_s: float = 15.0) -> int:
        """SIGTERM, and wait; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience_s)


def descendants(ancestor: int) -> dict[int, int]:
    """All live processes below ``ancestor``: process id -> id of its parent."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            state, parent = (_read(int(folder.name), "stat").rpartition(b")")[2].split() or [b"Z", b"0"])[:2]
            if state != b"Z":
                parents[int(folder.name)] = int(parent)
    found: dict[int, int] = {}
    generation = {ancestor}
    while generation:
        generation = {pid for pid, parent in parents.items() if parent in generation}
        found |= {pid: parents[pid] for pid in generation}
    return found


def gone(pids: Iterable[int], within_s: float) -> bool:
    """Whether all processes have ended in time."""
    pause, deadline = threading.Event(), time.monotonic() + within_s
    while left := [
        pid for pid in pids if b"Z" not in _read(pid, "stat").rpartition(b")")[2].split()[:1] and _read(pid, "stat")
    ]:
        if time.monotonic() > deadline:
            return False
        pause.wait(0.1)
    return not left


def kill(pids: Iterable[int]) -> None:
    """SIGKILL; harmless for those that have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _read(pid: int, name: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / name).read_bytes()
    except OSError:
        return b""


@contextmanager
def evolver(broker_url: str, model_url: str, folder: Path, **settings: str) -> Iterator[EvolverProcess]:
    """A running, ready evolver; whatever is left of it is killed at the end."""
    running = EvolverProcess(broker_url, model_url, folder, **settings)
    try:
        running.wait_until_ready()
        yield running
    finally:
        family = running.family()
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        kill(family)
