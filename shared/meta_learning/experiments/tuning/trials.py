"""The trials of a search on disk: a line each, whole or not there.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     lines = TrialLines(Path(folder) / "trials.jsonl")
...     lines.add(Trial(0, {"cycle_size": 100}, 0.7))
...     lines.close()
...     TrialLines(Path(folder) / "trials.jsonl").known
[Trial(number=0, settings={'cycle_size': 100}, score=0.7)]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from meta_learning.errors import MalformedState
from meta_learning.experiments.config import Value
from meta_learning.utils.lines import LineFile, write_whole


class Trial(NamedTuple):
    """Settings, and how they did; ``score`` is None where a cell could not be run."""

    number: int
    settings: dict[str, Value]
    score: float | None


class TrialLines:
    """The trials that are done, in order of their numbers.

    Raises:
        MalformedState: a line is no trial, or not the next one.
        StoreUnavailable: the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lines = path, LineFile(path)  # cuts off half a line that an earlier search was killed in
        self.known = [_read(path, number, line) for number, line in enumerate(path.read_bytes().splitlines())]

    def add(self, trial: Trial) -> None:
        """Write the next one down."""
        self._lines.append(_line(trial))
        self.known.append(trial)

    def forget_failed(self) -> None:
        """Forget the first trial that could not be run, and those after it, which would have been drawn otherwise had it been run.

        What can be run now is run; where it fails again, the same trials are drawn again, and their cells are all there.
        """
        failed = [trial.number for trial in self.known if trial.score is None]
        if failed:
            kept = self.known[: failed[0]]
            self._lines.close()
            write_whole(self._path, b"".join(_line(trial) for trial in kept))
            self._lines, self.known = LineFile(self._path), kept

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def _line(trial: Trial) -> bytes:
    return json.dumps(trial._asdict(), ensure_ascii=False).encode() + b"\n"


def _read(path: Path, number: int, line: bytes) -> Trial:
    try:
        trial = Trial(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise MalformedState(f"{path}: line {number + 1} is no trial: {error}") from None
    if trial.number != number:
        raise MalformedState(f"{path}: line {number + 1} is trial {trial.number}")
    return trial
