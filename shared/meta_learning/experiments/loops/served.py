"""A loop of a running system with the methods of `ClosedLoopSystem` that a study needs: feedback goes in by the applications' door,
answers come from the version that is promoted there, and the scores are those that the monitor publishes.

It goes in step with the system: when a cycle is full, it waits until the trainer has learnt it, the monitor has folded it and the
applications' door answers by its version, as a user of an application would meet it a moment later. So a run can be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import httpx
import numpy as np

from meta_learning.client import FeedbackClient, Ranking
from meta_learning.clrs.acting import DEFAULT, Cause, choose, probabilities_of
from meta_learning.clrs.asking import Asked, Asker
from meta_learning.errors import CallerError, NotFound, WorldError

LOOP_SEED = 0  # of every loop of the services
LOOK_EVERY_S = 0.02
WAIT_S = 60.0
COUNTS = {"accepted": "monitored", "trained": "trained", "capped": "capped", "distrusted": "distrusted"}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a system is: its applications' door and its operators' door, with their keys if they ask for any."""

    ingest: str
    monitor: str
    api_key: str | None = field(default=None, repr=False)
    operator_key: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, said: str, api_key: str | None = None, operator_key: str | None = None) -> Doors:
        """The doors that ``said`` names: both, apart by a comma, or the host where they have their usual ports.

        >>> Doors.at("http://127.0.0.1").monitor, Doors.at("http://a:1,http://b:2/").monitor
        ('http://127.0.0.1:8000', 'http://b:2')

        Raises:
            CallerError: it is no address.
        """
        parts = [part.strip().rstrip("/") for part in said.split(",")]
        if len(parts) > 2 or not all(part.startswith(("http://", "https://")) for part in parts):
            raise CallerError(f"services: {said!r} is no address; give http://HOST, or http://INGEST,http://MONITOR")
        ingest, monitor = parts if len(parts) == 2 else (f"{parts[0]}:8001", f"{parts[0]}:8000")
        return cls(ingest, monitor, api_key, operator_key)


class Step(NamedTuple):
    """What was asked of the loop, or told to it, in order: enough to do the same in process. ``said`` is None for a question."""

    text: str
    answer: str
    expected: float | None = None
    version: str | None = None
    said: float | None = None
    user: str | None = None
    propensity: float | None = None


class Chosen(NamedTuple):
    """The answer that the door put first, and how likely that was."""

    output_text: str
    propensity: float


class ServedLoop:
    """A new loop of the system behind ``doors``: ``loop``, or that name with a number; ``steps`` is what was done with it.

    Raises:
        WorldError: a door does not answer, or the system does not finish a cycle within ``wait_s``; the message says which.
        CallerError: a key is refused.
    """

    def __init__(
        self,
        doors: Doors,
        loop: str,
        attempts_max: int = 100,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.loop, self.asker, self.steps = loop, Asker(), list[Step]()
        self._attempts_max = attempts_max
        self._doors, self._wait_s, self._clock, self._sleep = doors, wait_s, clock, sleep
        self._client = FeedbackClient(doors.ingest, doors.api_key, sleep=sleep)
        headers = {"Authorization": f"Bearer {doors.operator_key}"} if doors.operator_key else {}
        self._monitor = httpx.Client(base_url=doors.monitor, headers=headers, timeout=10.0)
        self._sent = list[float]()
        self._known: dict[tuple[str, str], tuple[float, str | None]] = {}
        self._shown: dict[str, Any] = {}
        self.cycle_size = 0

    def __enter__(self) -> Self:
        self.cycle_size = int(self._asked("/api/system")["cycle_size"])
        name = self.loop
        for attempt in range(2, self._attempts_max + 2):
            if self._found() is None:
                return self
            self.loop = f"{name}-{attempt}"
        raise CallerError(
            f"{self._attempts_max} loops are called {name} at {self._doors.monitor}: begin a new data folder"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._monitor.close()

    def act(self, input_text: str, candidates: tuple[str, ...], unit: str) -> Chosen:
        """The candidate that the door says to show, by the exploration of its settings."""
        return self._ranked(input_text, candidates, unit, explore=True)

    def score(self, input_text: str, output_text: str) -> float:
        """The feedback that the promoted version expects; before there is one, the mean of the feedback of all full cycles."""
        if (input_text, output_text) not in self._known:
            self._ranked(input_text, (output_text,), None, explore=False)
        expected, version = self._known[input_text, output_text]
        self.steps.append(Step(input_text, output_text, expected, version))
        return expected

    def should_ask(self, input_text: str, output_text: str, unit: str) -> Asked:
        """As in process, by the score that the door gave: the share that is asked about is the study's, not the system's."""
        expected, _ = self._known[input_text, output_text]
        return self.asker.should_ask(expected, Cause(LOOP_SEED, self.loop, unit), input_text, output_text)

    def collect_feedback(
        self, input_text: str, output_text: str, feedback_score: float, user_id: str, propensity: float
    ) -> Mapping[str, Any] | None:
        """Send one piece of feedback; a full cycle is waited for, and what the monitor says of the loop is returned."""
        self.steps.append(Step(input_text, output_text, said=feedback_score, user=user_id, propensity=propensity))
        self._client.send(
            loop=self.loop,
            event_id=f"{self.loop}-{len(self._sent)}",
            input_text=input_text,
            output_text=output_text,
            feedback_score=feedback_score,
            user_id=user_id,
            propensity=propensity,
        )
        self._sent.append(feedback_score)
        if len(self._sent) % self.cycle_size:
            return None
        self._until(f"cycle {len(self._sent) // self.cycle_size} of loop {self.loop}", self._is_learnt)
        self._until(f"the promoted version of loop {self.loop} at {self._doors.ingest}", self._is_served)
        self._known.clear()
        return self._shown

    def finish(self) -> None:
        """Wait until the monitor has counted the feedback that fills no cycle."""
        if self._sent:
            self._until(f"the last feedback of loop {self.loop}", self._is_learnt)

    def get_system_summary(self) -> dict[str, Any]:
        """What the monitor says of the loop, in the words of `ClosedLoopSystem.get_system_summary`, as far as it has them."""
        shown = self._shown
        if not shown:
            return {"counts": dict.fromkeys(COUNTS, 0) | {"pending": 0}}
        last = shown["cycles"][-1] if shown["cycles"] else {"cycle": 0, "decision": None, "reasons": []}
        counts = {name: shown["counts"][theirs] for name, theirs in COUNTS.items()}
        return {
            **shown["scores"],
            "patterns": shown["patterns"],
            "cycles": last["cycle"],
            "history": [{"decision": last["decision"], "reasons": last["reasons"]}],
            "champion_version": shown["champion"],
            "counts": counts | {"pending": shown["counts"]["open"]},
        }

    # -- the doors ----------------------------------------------------------------------------------------------------

    def _ranked(self, text: str, candidates: tuple[str, ...], unit: str | None, explore: bool) -> Chosen:
        def asked() -> Ranking | None:
            try:
                return self._client.rank(self.loop, text, candidates, unit, explore)
            except NotFound:  # a loop begins with its first feedback
                return None

        ranking = self._patiently(asked)
        if ranking is None:
            return self._drawn(text, candidates, unit)
        for one in ranking.candidates:
            expected = self._constant() if one.score is None else one.score
            self._known[text, one.text] = (expected, ranking.model_version)
        return Chosen(ranking.candidates[0].text, ranking.propensity)

    def _drawn(self, text: str, candidates: tuple[str, ...], unit: str | None) -> Chosen:
        """As the door draws for a loop that has no version: all candidates are alike."""
        self._known.update({(text, candidate): (0.5, None) for candidate in candidates})
        alike, cause = np.full(len(candidates), 0.5), Cause(LOOP_SEED, self.loop, unit or "")
        choice = choose(text, candidates, alike, probabilities_of(DEFAULT, alike, 0), cause, None)
        return Chosen(choice.output_text, choice.propensity)

    def _constant(self) -> float:
        """What the loop says of anything while it has no version: as `LoopState.constant`, where nobody was left out."""
        counted = self._sent[: len(self._sent) // self.cycle_size * self.cycle_size]
        return round(sum(counted) / len(counted), 6) if counted else 0.5

    def _is_learnt(self) -> bool:
        shown = self._found()
        if shown is None or shown["counts"]["monitored"] < len(self._sent):
            return False
        done = shown["cycles"][-1]["cycle"] if shown["cycles"] else 0
        if done < len(self._sent) // self.cycle_size:
            return False
        self._shown = shown
        return True

    def _is_served(self) -> bool:
        ranking = self._patiently(lambda: self._client.rank(self.loop, "", ("",), explore=False))
        return bool(ranking.model_version == self._shown["champion"])

    def _found(self) -> dict[str, Any] | None:
        try:
            return self._asked(f"/api/loops/{self.loop}")
        except NotFound:
            return None

    def _asked(self, path: str) -> dict[str, Any]:
        def asked() -> httpx.Response:
            try:
                return self._monitor.get(path)
            except httpx.TransportError as error:
                raise WorldError(
                    f"the monitor at {self._doors.monitor} does not answer ({type(error).__name__})"
                ) from None

        answer = self._patiently(asked)
        if answer.status_code == 404:
            raise NotFound(f"{path}: not known at {self._doors.monitor}")
        if answer.status_code in (401, 403):
            raise CallerError(f"the monitor at {self._doors.monitor} asks for the operator key")
        if answer.status_code != 200:
            raise WorldError(f"the monitor at {self._doors.monitor} answers {answer.status_code} to {path}")
        said: dict[str, Any] = answer.json()
        return said

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _until(self, what: str, done: Callable[[], bool]) -> None:
        until = self._clock() + self._wait_s
        while not done():
            if self._clock() > until:
                raise WorldError(f"{what} did not come within {self._wait_s:g} s: {self._lagging()}")
            self._sleep(LOOK_EVERY_S)

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        """Ask again while a service is away: whoever died is started again within seconds."""
        until = self._clock() + self._wait_s
        while True:
            try:
                return ask()
            except WorldError:
                if self._clock() > until:
                    raise
                self._sleep(10 * LOOK_EVERY_S)

    def _lagging(self) -> str:
        lags = [lag for lag in self._asked("/api/system")["lags"] if lag["entries"]]
        if not lags:
            return "no reader is behind"
        return "is it running? behind are " + ", ".join(
            f"the {lag['role']} by {lag['entries']:,} {lag['stream']} entries" for lag in lags
        )
