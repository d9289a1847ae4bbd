"""What every detector keeps: it can be saved at any moment, needs constant memory, is silent while it collects, and has no whims."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from meta_learning.clrs import DriftDetector
from meta_learning.clrs.drift.behaviour_drift import BehaviourDrift
from meta_learning.clrs.drift.change_detector import ChangeDetector
from meta_learning.clrs.drift.e_detector import EDetector
from meta_learning.clrs.drift.loop_drift import LoopDrift
from meta_learning.clrs.drift.segment_tally import SegmentTally
from meta_learning.clrs.drift.skill_drift import SkillDrift
from meta_learning.clrs.drift.text_drift import TextDrift

WORDS = np.array([f"w{rank}" for rank in range(400)])
SEGMENTS = ["de", "en", None, "fr"]


@dataclass(frozen=True)
class Case:
    """A detector, how it is fed one batch drawn from ``draws``, and what it says (None while it collects)."""

    make: Callable[[], Any]
    restore: Callable[[Any], Any]
    feed: Callable[[Any, np.random.Generator], Any]
    says: Callable[[Any], Any]
    collects: int  # batches during which it must say None
    full: int  # batches after which its state has its full size


def texts(draws: np.random.Generator) -> list[str]:
    return [" ".join(WORDS[row]) for row in draws.integers(len(WORDS), size=(20, 8))]


def scored(draws: np.random.Generator) -> tuple[Any, float, Any]:
    true = draws.integers(2, size=20).astype(float)
    return np.abs(true - 0.1 - 0.8 * (draws.random(20) < 0.2)), 0.5, true


def feed_all(detector: DriftDetector, draws: np.random.Generator) -> None:
    scores = scored(draws)
    detector.update(
        input_texts=texts(draws),
        output_texts=texts(draws),
        probe_answers=draws.random(30),
        scored=scores,
        segments=SEGMENTS * 5,
        control=("v1", np.clip(scores[0] + 0.05, 0, 1)),
    )


CONFIG: dict[str, Any] = {"reference_size": 80, "window_size": 40}
SKILL: dict[str, Any] = {"baseline_size": 200, "window_size": 100, "warmup_size": 40}
CASES = {
    "TextDrift": Case(
        lambda: TextDrift(**CONFIG),
        lambda state: TextDrift.from_state(state, **CONFIG),
        lambda drift, draws: drift.update(texts(draws), SEGMENTS * 5),
        lambda drift: drift.result().current,
        collects=3,
        full=30,
    ),
    "BehaviourDrift": Case(
        lambda: BehaviourDrift(span=3),
        lambda state: BehaviourDrift.from_state(state, span=3),
        lambda drift, draws: drift.update(draws.random(30)),
        lambda drift: drift.result().current,
        collects=6,
        full=14,
    ),
    "SkillDrift": Case(
        lambda: SkillDrift(**SKILL),
        lambda state: SkillDrift.from_state(state, **SKILL),
        lambda drift, draws: drift.update(*scored(draws), SEGMENTS * 5),
        lambda drift: drift.concept().current,
        collects=11,
        full=100,
    ),
    "ChangeDetector": Case(
        lambda: ChangeDetector(100),
        lambda state: ChangeDetector.from_state(state, baseline_size=100),
        lambda drift, draws: [drift.update(float(loss)) for loss in draws.random(20)],
        lambda drift: drift.evidence,
        collects=4,
        full=100,
    ),
    "EDetector": Case(
        lambda: EDetector(0.3),
        EDetector.from_state,
        lambda drift, draws: [drift.update(float(loss)) for loss in draws.random(20) < 0.2],
        lambda drift: drift.evidence,
        collects=0,  # its level is known
        full=1,
    ),
    "LoopDrift": Case(
        lambda: LoopDrift(recent_size=300),
        lambda state: LoopDrift.from_state(state, recent_size=300),
        lambda drift, draws: drift.update("v1", draws.random(20), draws.random(20)),
        lambda drift: drift.result()["cause"],
        collects=29,
        full=60,
    ),
    "SegmentTally": Case(
        lambda: SegmentTally(recent_size=40),
        lambda state: SegmentTally.from_state(state, recent_size=40),
        lambda tally, draws: tally.update(draws.random(20), SEGMENTS * 5),
        lambda tally: tally.worst(),
        collects=10,
        full=40,
    ),
    "DriftDetector": Case(
        lambda: DriftDetector(**CONFIG),
        lambda state: DriftDetector.from_state(state, **CONFIG),
        feed_all,
        lambda drift: drift.score(),
        collects=3,
        full=80,
    ),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def run(case: Case, batches: int, saved_every: int | None = None) -> tuple[Any, list[Any]]:
    draws, detector, said = np.random.default_rng(5), case.make(), []
    for batch in range(batches):
        if saved_every and batch % saved_every == 0:
            detector = case.restore(json.loads(json.dumps(detector.state())))
        case.feed(detector, draws)
        said.append(case.says(detector))
    return detector, said


def test_saved_and_restored_at_any_moment_it_goes_on_as_if_unbroken(case: Case) -> None:
    whole, said = run(case, 40)
    broken, told = run(case, 40, saved_every=3)
    assert told == said
    assert json.dumps(broken.state()) == json.dumps(whole.state())


def test_the_same_stream_gives_the_same_state(case: Case) -> None:
    assert json.dumps(run(case, 25)[0].state()) == json.dumps(run(case, 25)[0].state())


def test_it_says_nothing_while_it_collects(case: Case) -> None:
    _, said = run(case, case.collects + 1)
    assert said[: case.collects] == [None] * case.collects


def test_it_speaks_once_it_has_collected(case: Case) -> None:
    assert run(case, 40)[1][-1] is not None


def test_its_memory_stays_constant_once_it_is_full(case: Case) -> None:
    early, late = (len(json.dumps(run(case, batches)[0].state())) for batches in (case.full, 3 * case.full))
    assert late <= 1.25 * early + 200


def test_a_saved_state_is_plain_json(case: Case) -> None:
    state = run(case, 10)[0].state()
    assert json.loads(json.dumps(state)) == json.loads(json.dumps(case.restore(state).state()))


def test_a_rare_segment_takes_no_more_memory_than_a_common_one() -> None:
    tally = SegmentTally()
    for number in range(2000):
        tally.update(np.array([number / 2000, 0.5]), ["rare", None])
    assert len(json.dumps(tally.state())) < 3000
    found = tally.worst()
    assert found is not None
    assert 200 <= found["n"] <= 220
    assert found["rise"] > 0.4
