"""A candidate that nothing but its behaviour holds: it makes way for newer ones, which together err no oftener than it may."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.gating import gates
from meta_learning.clrs.gating.evaluation import Answers, Case
from meta_learning.clrs.gating.evidence import Evidence
from meta_learning.clrs.gating.gates import Decision
from meta_learning.clrs.gating.judging import Docket, judge, replay_decision
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.statistics import Moments
from meta_learning.datasets.samples import FEEDBACK_SAMPLE
from meta_learning.events import CycleCompleted

SETTINGS = LoopSettings()
HELD = "nothing but its behaviour"
TRUE = np.tile([0.0, 1.0], 50)
PROBE = np.tile([0.0, 1.0], 100)


def sure(true: Floats, by: float) -> Floats:
    """Right by ``by`` on this side of 0.5. At .2001 and .1999 answers fall into other bins, and are as good as each other."""
    return np.where(true > 0.5, 0.5 + by, 0.5 - by)


def case(candidate: float, learner: float | None = None, true: Floats = TRUE) -> Case:
    """One cycle of a champion that is right by .2001."""
    found = Answers(
        candidate=sure(true, candidate),
        champion=sure(true, 0.2001),
        probe_candidate=sure(PROBE, candidate),
        probe_champion=sure(PROBE, 0.2001),
        learner=None if learner is None else sure(true, learner),
    )
    return Case(found, true, {}, {}, 20, "champion", "candidate")


def judged(cycles: int, candidate: float = 0.1999, learner: float = 0.1999) -> tuple[list[Decision], Docket]:
    docket, found = Docket(), list[Decision]()
    for _ in range(cycles):
        decision, docket = judge(case(candidate, learner if docket.cycles else None), docket, SETTINGS)
        found.append(decision)
    return found, docket


def test_it_makes_way_after_two_cycles_and_each_that_follows_has_twice_the_time() -> None:
    found, docket = judged(30)
    dropped = [number for number, one in enumerate(found, 1) if one.then == "drop"]
    assert dropped == [2, 6, 14, 30]
    assert all(HELD in found[number - 1].reasons[-1] for number in dropped)
    assert (docket.successors, docket.held_back, docket.evidence) == (4, 0, Evidence())


def test_it_stays_where_what_would_follow_is_surely_worse() -> None:
    found, docket = judged(10, learner=0.1)
    assert {one.then for one in found} == {"wait"}
    assert docket.held_back == 10


def test_waiting_for_evidence_is_not_counted() -> None:
    draws, docket, held = np.random.default_rng(3), Docket(), 0
    for _ in range(30):
        # As good as the champion, each right where the other is wrong: that takes many events to tell.
        said = case(0.1999).answers
        mine, its = (np.where(draws.random(100) < 0.02, 1.0 - part, part) for part in (said.candidate, TRUE))
        seen = Answers(mine, said.probe_candidate, np.where(its > 0.5, 0.7001, 0.2999), said.probe_champion)
        decision, docket = judge(Case(seen, TRUE, {}, {}, 20, "champion", "candidate"), docket, SETTINGS)
        if decision.then == "drop":
            break
        held += docket.held_back == 0
        assert docket.held_back <= 1
    assert held >= 3
    assert HELD in decision.reasons[-1]


def test_a_promotion_gives_the_next_candidate_the_whole_error_again() -> None:
    _, docket = judged(6)
    assert docket.successors == 2
    decision, docket = judge(case(0.3), docket, SETTINGS)  # proven better, so it may move as far as it likes
    assert decision.outcome == "promoted"
    assert docket.successors == 0


def test_what_is_known_survives_saving_and_older_states_know_of_no_successors() -> None:
    _, docket = judged(3)
    saved = docket.to_json()
    assert Docket.from_json(saved) == docket
    assert (docket.held_back, docket.successors) == (1, 1)
    older = {name: value for name, value in saved.items() if name not in ("held_back", "successors")}
    assert (Docket.from_json(older).held_back, Docket.from_json(older).successors) == (0, 0)


@pytest.mark.parametrize("successors", [0, 1, 3])
def test_each_successor_has_half_the_error_of_the_one_before_it(successors: int) -> None:
    draws, error = np.random.default_rng(5), SETTINGS.gate_error / 2**successors
    passed, runs = 0, 400
    for _ in range(runs):
        known = Evidence()
        for _ in range(40):
            known += Evidence(Moments.of(draws.normal(-SETTINGS.margin * 0.2, 0.1, size=100)), 20.0)
            verdict = gates.not_inferior(known, 0.0, SETTINGS, successors)
            if verdict.passed or verdict.hopeless:
                passed += verdict.passed
                break
    assert passed / runs <= error + 2.0 * np.sqrt(error * (1.0 - error) / runs)


def lives() -> list[CycleCompleted]:
    clrs, told = ClosedLoopSystem(), list[CycleCompleted]()
    for line in FEEDBACK_SAMPLE.read_text("utf-8").splitlines()[:1400]:
        row = json.loads(line)
        record = clrs.collect_feedback(
            row["input_text"], row["output_text"], row["feedback_score"], row["metadata"], row["user_id"]
        )
        told += [record] if record is not None else []
    return told


def test_the_bundled_sample_waits_two_cycles_for_behaviour_where_it_waited_five() -> None:
    told = lives()
    alone = [record for record in told if len(record.reasons) == 1 and "behaviour moved too far" in record.reasons[0]]
    assert not any(one.cycle + 1 == other.cycle for one, other in pairwise(alone))
    assert any(HELD in reason for record in told for reason in record.reasons)
    assert max(record.cycle for record in told if record.decision == "promoted") >= 13
    for record in told:
        decision = replay_decision(record)
        assert (decision.outcome, decision.reasons, decision.numbers) == (
            record.decision,
            record.reasons,
            record.numbers,
        )
