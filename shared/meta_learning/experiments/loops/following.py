"""A closed loop over a stream of interactions: what it answered before it learnt, and what it said of itself each cycle."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from meta_learning.clrs import OnlineTextModel
from meta_learning.clrs.asking import Asked, Asker
from meta_learning.experiments.intervals import Floats
from meta_learning.experiments.loops.interactions import Interaction


@dataclass(frozen=True, slots=True)
class Way:
    """How the application answers and asks.

    With ``candidates`` the loop chooses one of them (`act`) and users judge it; without, everybody is shown ``answer`` and likes
    the texts whose label is ``liked``. ``asked`` per cent of the interactions are asked about: those that `should_ask` names, or
    ``by_chance``.
    """

    liked: str
    candidates: tuple[str, ...] = ()
    answer: str = "answer"
    asked: float = 100.0
    by_chance: bool = False


@dataclass(slots=True)
class Followed:
    """What happened. Arrays are by interaction: the score that the loop expected, and whether the user was satisfied."""

    expected: list[float] = field(default_factory=list)
    satisfied: list[float] = field(default_factory=list)
    labelled: list[int] = field(default_factory=list)
    asked_count: int = 0
    cycles: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class Loop(Protocol):
    """What is followed: a `ClosedLoopSystem` here, or a loop of a running system (`served.ServedLoop`)."""

    @property
    def asker(self) -> Asker:
        """Who decides whom to ask."""

    def act(self, input_text: str, candidates: tuple[str, ...], unit: str) -> Shown:
        """The candidate to show."""

    def score(self, input_text: str, output_text: str) -> float:
        """The feedback that is expected."""

    def should_ask(self, input_text: str, output_text: str, unit: str) -> Asked:
        """Whether to ask about it."""

    def collect_feedback(
        self, input_text: str, output_text: str, feedback_score: float, *, user_id: str, propensity: float
    ) -> object | None:
        """Take one piece of feedback; something, if that filled a cycle."""

    def get_system_summary(self) -> Mapping[str, Any]:
        """What the loop says of itself."""


class Shown(Protocol):
    """An answer, and how likely it was to be shown."""

    @property
    def output_text(self) -> str:
        """The answer."""

    @property
    def propensity(self) -> float:
        """Its probability."""


def follow(system: Loop, interactions: Sequence[Interaction], way: Way, seed: int = 0) -> Followed:
    """Run ``system`` over the interactions; it sees what users say, never what they want."""
    system.asker.per_100, system.asker.level = way.asked, None
    coin, told = random.Random(seed), Followed()
    for at, one in enumerate(interactions):
        answer, judged, propensity = way.answer, way.liked, 1.0
        if way.candidates:
            choice = system.act(one.text, way.candidates, unit=str(at))
            answer = judged = choice.output_text
            propensity = choice.propensity
        told.expected.append(system.score(one.text, answer))
        told.satisfied.append(one.satisfied_by(judged))
        asked = _asked(system, one, answer, at, (way, coin))
        if asked is None:
            continue
        told.asked_count += 1
        said = one.said_of(judged)
        if said is None:
            continue
        told.labelled.append(at)
        cycle = system.collect_feedback(one.text, answer, said, user_id=one.user, propensity=asked * propensity)
        if cycle is not None:
            told.cycles.append(cycle_line(system.get_system_summary(), at + 1, len(told.alarms)))
            told.alarms += told.cycles[-1]["alarms"]
    told.counts = dict(system.get_system_summary()["counts"])
    return told


def _asked(system: Loop, one: Interaction, answer: str, at: int, how: tuple[Way, random.Random]) -> float | None:
    """The probability with which this user is asked; None if they are not."""
    way, coin = how
    if way.asked >= 100:
        return 1.0
    if way.by_chance:
        return 1.0 if coin.random() < way.asked / 100 else None
    asked = system.should_ask(one.text, answer, unit=str(at))
    return asked.propensity if asked.ask else None


def cycle_line(said: Mapping[str, Any], interactions: int, alarms_before: int) -> dict[str, Any]:
    """What a loop ``said`` of itself after a cycle, when ``alarms_before`` alarms were told already."""
    drift, alignment, coherence = said["drift"], said["alignment"], said["coherence"]
    fresh = drift["raised"][len(drift["raised"]) - (drift["alarms"] - alarms_before) :]
    kept = ("kind", "event", "since", "score", "words", "cause")
    return {
        "cycle": said["cycles"],
        "interactions": interactions,
        "drift": drift["current"],
        "set_by": drift["set_by"],
        "kinds": drift["kinds"],
        "cause": drift["cause"]["cause"],
        "alarms": [{name: alarm[name] for name in kept} | {"interactions": interactions} for alarm in fresh],
        "alignment": [alignment[name] for name in ("current", "low", "high")],
        "alignment_n": alignment["n"],
        "state": alignment["state"],
        "coherence": [coherence[name] for name in ("current", "low", "high")],
        "neighbours": coherence["neighbours"],
        "perturbations": coherence["perturbations"],
        "negative_flip_rate": coherence["negative_flip_rate"],
        "diversity": coherence["diversity"],
        "patterns": [found["name"] for found in said["patterns"]["active"]],
        "decision": said["history"][-1]["decision"],
        "reasons": said["history"][-1]["reasons"],
        "distrusted": said["counts"].get("distrusted", 0),
    }


def ceiling(interactions: Sequence[Interaction], way: Way, block: int = 100) -> Floats:
    """What the learner alone expects, without gates, when it is told the truth about everything: nothing asked can know more."""
    model, found = OnlineTextModel(), list[Floats]()
    for first in range(0, len(interactions), block):
        part = interactions[first : first + block]
        pairs = [(one.text, way.answer) for one in part]
        found.append(model.predict(pairs))
        model.learn(pairs, np.array([one.satisfied_by(way.liked) for one in part]))
    return np.concatenate(found)
