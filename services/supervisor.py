"""Keep programs alive: start each as a process of its own, restart with back-off what dies, stop all in order.

A child's output goes to ``<logs>/<name>.log``. Children run in sessions of their own, so that Ctrl-C reaches the supervisor
alone, and (on Linux) they get SIGTERM when the supervisor itself is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meta_learning.serving.ending import end

BACKOFF_S_MIN, BACKOFF_S_MAX = 0.5, 10.0
STEADY_S = 30.0  # alive for this long, a program is forgiven its earlier deaths
PR_SET_PDEATHSIG = 1
REFUSED = 2  # what our programs exit with when a setting is wrong: starting them again would change nothing


@dataclass(slots=True)
class Program:
    """One program to keep alive, and what is known of it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    deaths_count: int = 0
    started_at: float = field(default=0.0)

    @property
    def alive(self) -> bool:
        """Whether its process runs now."""
        return self.process is not None and self.process.returncode is None


class Supervisor:
    """Starts programs, watches them, stops them. ``say`` is told of everything that a person would want to know."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self._logs, self._say = logs, say
        self._programs: list[Program] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._refusal: asyncio.Future[str] | None = None

    @property
    def programs(self) -> Sequence[Program]:
        """The programs, in the order in which they were started."""
        return tuple(self._programs)

    async def start(self, program: Program) -> None:
        """Start ``program`` and keep it alive from now on."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._programs.append(program)
        await self._launch(program)
        self._watchers.append(asyncio.create_task(self._watch(program), name=f"watch {program.name}"))

    async def refused(self) -> str:
        """Wait until a program refuses its settings (exit status 2); what it said. Such a program is not started again."""
        if self._refusal is None:
            self._refusal = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._refusal)

    async def _launch(self, program: Program) -> None:
        output = os.open(self._logs / f"{program.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            program.process = await asyncio.create_subprocess_exec(
                *program.command,
                env=dict(program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        finally:
            os.close(output)
        program.started_at = time.monotonic()

    async def _watch(self, program: Program) -> None:
        while True:
            assert program.process is not None
            status = await program.process.wait()
            said = _last_line(self._logs / f"{program.name}.log")
            if status == REFUSED:
                self._refuse(f"{program.name} refuses its settings: {said}")
                return
            if time.monotonic() - program.started_at > STEADY_S:
                program.deaths_count = 0
            program.deaths_count += 1
            wait_s = min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2 ** (program.deaths_count - 1))
            self._say(
                f"{program.name} died ({_described(status)}); starting it again in {wait_s:g} s; "
                f"the log is {self._logs / program.name}.log"
            )
            await asyncio.sleep(wait_s)
            await self._launch(program)
            self._say(f"{program.name} was started again")

    def _refuse(self, reason: str) -> None:
        if self._refusal is None:
            self._refusal = asyncio.get_running_loop().create_future()
        if not self._refusal.done():
            self._refusal.set_result(reason)
        self._say(reason)

    async def stop(self, wait_s: float = 7.0) -> None:
        """SIGTERM to all, newest first; SIGKILL, said aloud, to whatever has not ended after ``wait_s``."""
        await end(*self._watchers)
        living = [program for program in reversed(self._programs) if program.alive]
        for program in living:
            _signal(program, signal.SIGTERM)
        ends = [asyncio.create_task(program.process.wait()) for program in living if program.process]
        if ends:
            await asyncio.wait(ends, timeout=wait_s)
        for program in living:
            if program.alive:
                self._say(f"{program.name} did not end within {wait_s:g} s and is killed")
                _signal(program, signal.SIGKILL)
        await asyncio.gather(*ends)


def _signal(program: Program, number: signal.Signals) -> None:
    """Send ``number`` to the program; SIGKILL to its whole session, so that no worker of it stays behind."""
    assert program.process is not None
    with contextlib.suppress(ProcessLookupError):
        if number is signal.SIGKILL:
            os.killpg(program.process.pid, number)
        else:
            program.process.send_signal(number)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return lines[-1][:500] if lines else "it said nothing"


def _described(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
