"""`python -m services`: everything starts, what dies is restarted, nothing is lost, and Ctrl-C ends it within ten seconds."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from meta_learning.streams.embedded import socket_path
from tests.mourning import ends_with_us
from tests.services.evolver.process import descendants

ROOT = Path(__file__).parents[2]
SERVICES = ("trainer", "monitor", "evolver", "ingest")
SENT_COUNT = 450


def free_ports(count: int) -> list[int]:
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for probe in with_sockets:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in with_sockets]
    finally:
        for probe in with_sockets:
            probe.close()


@contextmanager
def system(
    data: Path, ports: dict[str, int], *options: str, cwd: Path = ROOT, settings: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("REDIS_URL", "_API_KEY"))}
    environment |= {f"META_LEARNING_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    environment |= {"PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"} | (settings or {})
    with open(data / "output.txt", "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services", "--data", str(data), *options],
            cwd=cwd,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    ends_with_us(process.pid)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def output_of(data: Path) -> str:
    return (data / "output.txt").read_text(encoding="utf-8")


async def until(data: Path, pattern: str, wait_s: float = 60) -> None:
    """Wait until the system has said ``pattern``."""
    try:
        async with asyncio.timeout(wait_s):
            while not re.search(pattern, output_of(data)):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never said {pattern!r}:\n{output_of(data)}") from None


def children(pid: int) -> dict[str, int]:
    """The services that run as children of ``pid``, by name."""
    found = {}
    for child, parent in descendants(pid).items():
        command = Path(f"/proc/{child}/cmdline").read_text().rstrip("\0").split("\0")
        if parent == pid and command[1:2] == ["-m"]:
            found[command[2].removeprefix("services.")] = child
    return found


def items(start: int, count: int) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"e{n}",
            "loop": "support",
            "input_text": f"question {n % 41}",
            "output_text": "gladly" if n % 2 else "no",
            "feedback_score": float(n % 2),
        }
        for n in range(start, start + count)
    ]


async def send(http: httpx.AsyncClient, url: str, body: list[dict[str, Any]]) -> None:
    """Send until it is taken, as a producer does whose items carry ids."""
    async with asyncio.timeout(60):
        while True:
            try:
                if (await http.post(url, json=body)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)


async def until_counted(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await http.get(url)
                seen = answer.json().get("counts", {}) if answer.status_code == 200 else {}
            except httpx.TransportError:
                pass
            if seen.get("monitored", 0) >= SENT_COUNT and seen.get("open", SENT_COUNT) < 100:
                return seen
            await asyncio.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_whatever_dies_is_restarted_and_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    ports = dict(zip(SERVICES, free_ports(4), strict=True))
    ingest, monitor = (f"http://127.0.0.1:{ports[name]}" for name in ("ingest", "monitor"))
    with system(tmp_path, ports) as process:
        await until(tmp_path, "all ready")
        async with httpx.AsyncClient(timeout=10) as http:
            for number, victim in enumerate(("trainer", "monitor", "ingest")):
                await send(http, f"{ingest}/v1/feedback/batch", items(number * 150, 150))
                os.kill(children(process.pid)[victim], signal.SIGKILL)
                await until(tmp_path, rf"{victim} died \(SIGKILL\)")
            await send(http, f"{ingest}/v1/feedback/batch", items(300, 150))  # the same ids again: counted once
            counts = await until_counted(http, f"{monitor}/api/loops/support")
        assert (counts["monitored"], counts["trained"] + counts["capped"], counts["open"]) == (SENT_COUNT, 400, 50)

        started, left = time.monotonic(), children(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert time.monotonic() - started < 10
        assert set(left) == set(SERVICES)
        assert not [pid for pid in left.values() if Path(f"/proc/{pid}").exists()]
    assert "stopped" in output_of(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_the_demo_ends_with_counts_that_agree_and_says_where_to_look(tmp_path: Path) -> None:
    rows = [f"question {n % 31},{'gladly' if n % 2 else 'no'},{n % 2}" for n in range(330)]
    feedback = tmp_path / "mine.csv"
    feedback.write_text("input,output,score\n" + "\n".join(rows) + "\n", encoding="utf-8")
    ports = dict(zip(SERVICES, free_ports(4), strict=True))
    with system(tmp_path, ports, "--demo", "--leave", "--feedback", str(feedback)) as process:
        assert await asyncio.to_thread(process.wait, 120) == 0, output_of(tmp_path)
    said = output_of(tmp_path)
    assert re.search(r"sent\s+330\s", said)
    assert re.search(r"monitored\s+330\s", said)
    assert "300 trained + 0 capped + 30 in the open cycle" in said
    assert re.search(r"prompt evolution\s+(improved|no_evidence|no_headroom|stopped_by_budget)", said)
    assert f"http://127.0.0.1:{ports['monitor']}/" in said


async def test_a_broken_file_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    feedback = tmp_path / "mine.csv"
    feedback.write_text("input,output,score\nhow,so,1\nhow,so,high\n", encoding="utf-8")
    with system(
        tmp_path, dict(zip(SERVICES, free_ports(4), strict=True)), "--demo", "--feedback", str(feedback)
    ) as process:
        assert await asyncio.to_thread(process.wait, 60) == 2
    assert "row 3" in output_of(tmp_path)
    assert not (tmp_path / "broker").exists()


def asked(data: Path, command: str) -> str:
    """The embedded broker's answer to one inline command."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(socket_path(data / "broker")))
        connection.sendall(f"{command}\r\nQUIT\r\n".encode())
        with connection.makefile("rb") as answer:
            return answer.read().decode()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_file_of_settings_counts_and_the_broker_keeps_what_its_durability_promises(tmp_path: Path) -> None:
    ports = dict(zip(SERVICES, free_ports(4), strict=True))
    lines = [f"META_LEARNING_{name.upper()}_PORT={port}" for name, port in ports.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "META_LEARNING_DURABILITY=fsync"]), encoding="utf-8")
    with system(tmp_path, {}, cwd=tmp_path) as process:
        await until(tmp_path, "all ready")
        assert "always" in asked(tmp_path, "CONFIG GET appendfsync")
        url = f"http://127.0.0.1:{ports['ingest']}/v1/feedback"
        async with httpx.AsyncClient(timeout=10) as http:
            answer = await http.post(url, json=items(0, 1)[0])
        assert answer.json()["durability"] == "fsync"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"META_LEARNING_HOST": "0.0.0.0"}, "2 META_LEARNING_OPERATOR_KEY"),
        ({"META_LEARNING_CYCLE_SIZE": "5"}, "2 META_LEARNING_CYCLE_SIZE"),
        ({"META_LEARNING_INGEST_PORT": "abc"}, "2 META_LEARNING_INGEST_PORT"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "1 127.0.0.1:1"),
    ],
    ids=["open door", "bound", "port", "no broker"],
)
async def test_what_stands_in_the_way_is_one_line_and_a_status(
    tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    with system(tmp_path, dict(zip(SERVICES, free_ports(4), strict=True)), settings=settings) as process:
        status, words = reason.split(" ", 1)
        assert await asyncio.to_thread(process.wait, 60) == int(status)
    last = output_of(tmp_path).strip().splitlines()[-1]
    assert last.startswith("cannot go on: ")
    assert words in last
    assert "Traceback" not in output_of(tmp_path)


async def test_a_service_that_refuses_its_settings_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    ports = dict(zip(SERVICES, free_ports(4), strict=True))
    with system(tmp_path, ports, settings={"META_LEARNING_TRAINER_PARTITIONS": "none"}) as process:
        assert await asyncio.to_thread(process.wait, 60) == 2
    assert "META_LEARNING_TRAINER_PARTITIONS" in output_of(tmp_path)


@pytest.mark.slow
async def test_a_second_system_over_the_same_folder_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    ports = dict(zip(SERVICES, free_ports(4), strict=True))
    with system(tmp_path, ports):
        await until(tmp_path, "all ready")
        ran = subprocess.run(
            [sys.executable, "-m", "services", "--data", str(tmp_path)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 2
    assert f"http://127.0.0.1:{ports['monitor']}/" in ran.stdout
