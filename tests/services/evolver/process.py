"""A real evolver process against a real broker and a loopback model, for one test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

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
        environment = {name: value for name, value in os.environ.items() if "API_KEY" not in name and "REDIS" not in name}
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

    def wait_until_ready(self, timeout_s: float = 40.0) -> None:
        """Return once ``/readyz`` is green."""
        pause = threading.Event()
        for _ in range(int(timeout_s / 0.2)):
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2.0).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            pause.wait(0.2)
        raise AssertionError(self.log.read_text())

    def metrics(self) -> str:
        """The metrics page."""
        return httpx.get(f"{self.url}/metrics", timeout=5.0).text

    def family(self) -> dict[int, str]:
        """The live descendants: process id -> command line."""
        found, parents = {}, {self.process.pid}
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if fields[0] != "Z":
                    children.setdefault(int(fields[1]), []).append(int(folder.name))
        while parents:
            parents = {child for parent in parents for child in children.get(parent, [])}
            for child in parents:
                try:
                    found[child] = (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found

    def kill_workers(self) -> int:
        """SIGKILL every worker and horse; how many processes."""
        victims = [pid for pid, line in self.family().items() if "services.evolver.worker" in line]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return len(victims)

    def stop(self, patience_s: float = 15.0) -> int:
        """SIGTERM, and wait; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience_s)


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
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
