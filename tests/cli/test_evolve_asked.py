"""The question before anything is spent, at a real terminal: whoever interrupts it has said no."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.evolving import words
from tests.services.evolver.loopback import Model

ROOT = Path(__file__).parent.parent.parent
CTRL_C = b"\x03"
PATIENCE_S = 30.0


class Terminal:
    """The command at a terminal of its own."""

    def __init__(self, said: list[str], columns: int = 80) -> None:
        program = [sys.executable, "-c", "from meta_learning.cli import main; main()", *said]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared"), "COLUMNS": str(columns), "TERM": "xterm"}
        self.pid, self._door = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, program, environment)
        self.shown = ""

    def type(self, keys: bytes) -> None:
        os.write(self._door, keys)

    def until(self, text: str) -> None:
        """Read until ``text`` is shown."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.shown and time.monotonic() < end and self._read():
            pass
        assert text in self.shown, self.shown

    def code(self) -> int:
        """Read to the end; the exit code."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self._read():
            pass
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        raise AssertionError(f"it goes on waiting:\n{self.shown}")

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._door)

    def _read(self) -> bool:
        if not select.select([self._door], [], [], 0.1)[0]:
            return True
        try:
            said = os.read(self._door, 65536)
        except OSError:  # Linux says so where the other end is closed
            return False
        self.shown += said.decode(errors="replace")
        return bool(said)


@pytest.fixture
def terminal(table: Path, model: tuple[Model, str]) -> Iterator[Terminal]:
    one = Terminal(words(table, model[1]))
    yield one
    one.close()


def test_ctrl_c_at_the_question_spends_nothing_and_leaves_nothing_behind(
    terminal: Terminal, table: Path, model: tuple[Model, str]
) -> None:
    terminal.until("[y/N]")
    terminal.type(CTRL_C)
    assert terminal.code() == 4
    assert "nothing was spent" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert not model[0].asked
    assert not (table.parent / "data").exists()


def test_an_agreement_at_a_terminal_runs_and_ctrl_c_then_stops_it_as_ever(
    terminal: Terminal, table: Path, model: tuple[Model, str]
) -> None:
    terminal.until("[y/N]")
    terminal.type(b"y\r")
    terminal.until("candidate")
    terminal.type(CTRL_C)
    assert terminal.code() == 130
    assert "--resume" in terminal.shown


def test_no_is_no(terminal: Terminal, table: Path) -> None:
    terminal.until("[y/N]")
    terminal.type(b"n\r")
    assert terminal.code() == 4
    assert not (table.parent / "data").exists()
