"""The four services as programs of this machine: their commands, ports and environment."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from meta_learning.errors import ConfigurationError
from services.openmp import library_path
from services.supervisor import Program

# Started in this order, stopped in the reverse one: who reads is there before who writes.
PORTS = {"trainer": 8002, "monitor": 8000, "evolver": 8003, "ingest": 8001}


@dataclass(frozen=True, slots=True)
class Doors:
    """Where each service listens on this machine."""

    ports: dict[str, int]

    def url(self, service: str, path: str = "") -> str:
        """An address of ``service``.

        >>> Doors({"ingest": 8001}).url("ingest", "/docs")
        'http://127.0.0.1:8001/docs'
        """
        return f"http://127.0.0.1:{self.ports[service]}{path}"


def choose_doors() -> tuple[Doors, list[str]]:
    """A port for every service: the configured one, or a free one with a sentence about why."""
    ports, remarks = {}, []
    for service, default in PORTS.items():
        wished = _wished(f"META_LEARNING_{service.upper()}_PORT", default)
        ports[service] = wished if _is_free(wished) else _any_free()
        if ports[service] != wished:
            remarks.append(f"port {wished} is taken: {service} listens on {ports[service]}")
    return Doors(ports), remarks


def _wished(name: str, default: int) -> int:
    given = os.environ.get(name) or str(default)
    if not given.isdigit() or not 1 <= int(given) <= 65535:
        raise ConfigurationError(f"{name}: a port is a number from 1 to 65535, not {given!r}")
    return int(given)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def programs(doors: Doors, redis_url: str, data_folder: Path) -> list[Program]:
    """The services as programs that share one broker and one data folder."""
    environment = dict(os.environ) | {
        "REDIS_URL": redis_url,
        "META_LEARNING_DATA_FOLDER": str(data_folder),
        # One thread a process for linear algebra: four services share the cores, and a sum over threads has no fixed order.
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    environment["RQ_REDIS_URL"] = environment.get("RQ_REDIS_URL") or redis_url
    for service, port in doors.ports.items():
        environment[f"META_LEARNING_{service.upper()}_PORT"] = str(port)
    if (found := library_path(data_folder / "lib")) is not None:
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [found, environment.get("LD_LIBRARY_PATH")]))
    return [Program(name, [sys.executable, "-m", f"services.{name}"], environment) for name in doors.ports]


async def until_ready(doors: Doors, service: str, wait_s: float = 60.0) -> None:
    """Wait for the service's ``/readyz``.

    Raises:
        TimeoutError: it did not become ready; the message says what it waits for.
    """
    reason = "it does not answer"
    try:
        async with asyncio.timeout(wait_s), httpx.AsyncClient() as client:
            while True:
                try:
                    answer = await client.get(doors.url(service, "/readyz"))
                    if answer.status_code == 200:
                        return
                    reason = answer.text
                except httpx.TransportError as error:
                    reason = f"it does not answer ({type(error).__name__})"
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TimeoutError(f"{service} is not ready after {wait_s:g} s: {reason}") from None
