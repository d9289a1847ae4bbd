"""End what a test run leaves behind when it is killed itself: no finaliser runs then, and servers live in sessions of their own.

One watcher a test process waits for the end of its standard input, which comes with the death of that process however it died.
Run as ``python -m tests.mourning``; it reads ``pid N`` and ``broker PATH`` lines.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]


def ends_with_us(pid: int) -> None:
    """See to it that the process ``pid`` gets SIGTERM when this one has died."""
    _tell(f"pid {pid} {_born(pid)}")


def broker_ends_with_us(url: str) -> None:
    """See to it that whatever server then listens at the ``unix://`` URL ends when this process has died."""
    _tell(f"broker {url.removeprefix('unix://')}")


def _tell(line: str) -> None:
    watcher = _watcher()
    watcher.write(f"{line}\n")
    watcher.flush()


@functools.cache
def _watcher() -> IO[str]:
    process = subprocess.Popen(
        [sys.executable, "-S", str(Path(__file__))], stdin=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdin is not None
    process.returncode = 0  # it outlives us on purpose: nobody is to wait for it
    return process.stdin


def _born(pid: int) -> str:
    """When the process began, so that another one with the same number is left alone; "" when there is none."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _end(kind: str, *about: str) -> None:
    if kind == "pid" and _born(int(about[0])) == about[1]:
        os.kill(int(about[0]), signal.SIGTERM)
    elif kind == "broker":
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2.0)
            connection.connect(about[0])
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")


if __name__ == "__main__":
    for told in sys.stdin.read().splitlines():
        with contextlib.suppress(OSError, IndexError):
            _end(*told.split(" "))
