"""The system that a study's loops run through: one that runs already, or one that is started for the study and ends with it.

Cells find it by ``services.json`` in the study's folder, so that processes that are started for cells find it too. Keys are not in
it: they are read from the environment, as the services do.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import httpx

from meta_learning.errors import ConfigurationError, WorldError
from meta_learning.experiments.loops.served import Doors
from meta_learning.serving.settings import PREFIX
from meta_learning.utils.lines import write_whole

ADDRESS = "services.json"
OUTPUT = "services.txt"
SERVICES = ("trainer", "monitor", "ingest")
START_S, END_S = 90.0, 20.0


@contextmanager
def doors_open(folder: Path, settings: Mapping[str, Any], address: str | None = None) -> Iterator[Doors]:
    """The doors of the system at ``address``; without one, of a system of its own in ``folder`` with these ``settings``.

    Raises:
        WorldError: a door does not answer, or the system does not start; the message says which and why.
        ConfigurationError: the running system has other settings, or the programs of the services are not here.
    """
    with ExitStack() as stack:
        doors = _with_keys(Doors.at(address)) if address else stack.enter_context(_started(folder, settings))
        _check(doors, settings)
        said = json.dumps({"ingest": doors.ingest, "monitor": doors.monitor})
        write_whole(folder / ADDRESS, said.encode())
        stack.callback((folder / ADDRESS).unlink, missing_ok=True)
        yield doors


def doors_of(folder: Path | None) -> Doors:
    """The doors that a cell of the study in ``folder`` goes through.

    Raises:
        ConfigurationError: none are open: the cell was put on a queue, or is run by itself.
    """
    path = None if folder is None else folder / ADDRESS
    if path is None or not path.exists():
        raise ConfigurationError(
            "this cell goes through the services: run it by `study run` on this machine (workers of a queue do not reach them)"
        )
    said = json.loads(path.read_bytes())
    return _with_keys(Doors(said["ingest"], said["monitor"]))


def _with_keys(doors: Doors) -> Doors:
    api_key, operator_key = (os.environ.get(f"{PREFIX}{name}") or None for name in ("API_KEY", "OPERATOR_KEY"))
    return replace(doors, api_key=api_key, operator_key=operator_key)


def _check(doors: Doors, settings: Mapping[str, Any]) -> None:
    """Whether both doors are ready, and the system has the study's settings."""
    headers = {"Authorization": f"Bearer {doors.operator_key}"} if doors.operator_key else {}
    with httpx.Client(timeout=10.0) as http:
        for name, url in (("ingest", doors.ingest), ("monitor", doors.monitor)):
            try:
                answer = http.get(f"{url}/readyz")
            except httpx.TransportError as error:
                raise WorldError(f"{name} does not answer at {url} ({type(error).__name__}): is it running?") from None
            if answer.status_code != 200:
                raise WorldError(f"{name} at {url} is not ready: {answer.text[:300]}")
        answer = http.get(f"{doors.monitor}/api/system", headers=headers)
        if answer.status_code in (401, 403):
            raise ConfigurationError(f"the monitor at {doors.monitor} asks for a key: set META_LEARNING_OPERATOR_KEY")
        has = answer.json().get("cycle_size")
    if "cycle_size" in settings and settings["cycle_size"] != has:
        raise ConfigurationError(
            f"settings: cycle_size is {settings['cycle_size']:g} here and {has} in the system at {doors.monitor}"
        )


@contextmanager
def _started(folder: Path, settings: Mapping[str, Any]) -> Iterator[Doors]:
    folder.mkdir(parents=True, exist_ok=True)
    ports = dict(zip(SERVICES, _free_ports(len(SERVICES)), strict=True))
    with open(folder / OUTPUT, "wb") as output:
        process = _process(folder, ports, settings, output)
        try:
            doors = Doors(*(f"http://127.0.0.1:{ports[name]}" for name in ("ingest", "monitor")))
            _until_ready(process, doors, folder / OUTPUT)
            yield doors
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _process(
    folder: Path, ports: Mapping[str, int], settings: Mapping[str, Any], output: IO[bytes]
) -> subprocess.Popen[bytes]:
    own = {name: value for name, value in os.environ.items() if "REDIS_URL" not in name and not name.startswith(PREFIX)}
    own |= {f"{PREFIX}{name.upper()}_PORT": str(port) for name, port in ports.items()}
    own |= {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
    # A study waits for each version to be served: a second a cycle would be most of its time.
    own |= {f"{PREFIX}CHAMPION_REFRESH_S": "0", "PYTHONUNBUFFERED": "1"}
    own["PYTHONPATH"] = os.pathsep.join([*_roots(), *filter(None, [own.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "services", "--without", "evolver", "--data", str((folder / "system").absolute())]
    # In its own folder: a file of settings (.env) that lies here is for another system.
    return subprocess.Popen(
        command, env=own, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    )


def _roots() -> list[str]:
    """Where the programs of the services and this library are: in a checkout, not in the wheel."""
    library = Path(__file__).parents[3]
    for root in (library.parent, Path.cwd()):
        if (root / "services" / "system.py").exists():
            return [str(root.absolute()), str(library)]
    if (found := importlib.util.find_spec("services")) is not None and found.origin is not None:
        return [str(Path(found.origin).parents[1]), str(library)]
    raise ConfigurationError(
        "services: the programs of the system are not here to be started; run the study in a checkout, or name a running system: "
        "--services http://HOST"
    )


def _until_ready(process: subprocess.Popen[bytes], doors: Doors, output: Path) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            if all(httpx.get(f"{url}/readyz", timeout=5.0).status_code == 200 for url in (doors.ingest, doors.monitor)):
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            said = output.read_text(encoding="utf-8", errors="replace").strip()[-600:]
            raise WorldError(f"the system of the study did not start: {said or 'it said nothing'}")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
