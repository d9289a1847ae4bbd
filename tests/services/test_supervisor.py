"""What dies is started again, also when the machine could not start it at first; what hangs is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from services.programs import choose_doors
from services.supervisor import Program, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


async def until(said: list[str], start: str) -> None:
    async with asyncio.timeout(20):
        while not any(line.startswith(start) for line in said):
            await asyncio.sleep(0.02)


async def test_a_program_that_cannot_be_started_again_just_now_is_not_given_up(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path / "logs", said.append)
    program = Program("sleeper", SLEEP, dict(os.environ))
    await supervisor.start(program)
    try:
        program.command = ["/nowhere/to/be/found"]
        assert program.process is not None
        program.process.kill()
        await until(said, "sleeper cannot be started")
        assert not supervisor._watchers[0].done()
    finally:
        await supervisor.stop()


def test_no_two_services_get_the_same_port() -> None:
    doors, remarks = choose_doors({"a": 1, "b": 1, "c": 1})  # a port that only root may take, and only one of them
    assert len(set(doors.ports.values())) == 3
    assert len(remarks) >= 2
