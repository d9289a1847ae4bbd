"""After a reversal the loop begins a second learner, which takes over when it is surely better; else nothing changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meta_learning.clrs import ClosedLoopSystem, LoopSettings
from meta_learning.clrs.beginner import Rivalry, begun
from meta_learning.clrs.drift.alarm_rule import Alarm
from meta_learning.clrs.models.text_model import OnlineTextModel
from tests.core.clrs.streams import labelled

Row = tuple[str, str, float]


def teach(system: ClosedLoopSystem, rows: Sequence[Row]) -> None:
    for asked, answered, score in rows:
        system.collect_feedback(asked, answered, score)


def learnt_by_the_candidate(system: ClosedLoopSystem) -> float:
    candidate = system.models.candidate
    assert isinstance(candidate, OnlineTextModel)
    return float(candidate.state.totals[2])


def alarmed(system: ClosedLoopSystem, kind: str) -> None:
    """As if the monitor had just raised an alarm: its own tests show when it does."""
    system.monitor.drift.rule.alarms.append(Alarm(kind, 0, 0, 1.0, 1.0))
    system._begin(1)


def test_after_a_reversal_the_learner_is_one_that_began_anew_also_across_a_restart() -> None:
    system, blobs = ClosedLoopSystem(cycle_size=50), dict[str, bytes]()
    teach(system, labelled(400, seed=3))
    alarmed(system, "concept")
    for at, row in enumerate(labelled(300, seed=4, flipped=True)):
        teach(system, [row])
        if at % 50 == 24:
            saved = system.snapshot()
            blobs |= saved.blobs
            system = ClosedLoopSystem.restore(saved.state, blobs.__getitem__, cycle_size=50)
    assert system.models.beginner is None
    assert learnt_by_the_candidate(system) == 300, "not the 700 of the learner that went on"


def test_a_beginner_that_wins_nothing_goes_when_its_time_is_up() -> None:
    system = ClosedLoopSystem(settings=LoopSettings(cycle_size=50, beginner_cycles=4))
    teach(system, labelled(400, seed=3))
    alarmed(system, "concept")
    teach(system, labelled(150, seed=4))
    assert system.models.beginner is not None
    teach(system, labelled(50, seed=5))
    assert system.models.beginner is None
    assert learnt_by_the_candidate(system) == 600


def test_without_an_alarm_no_beginner_learns() -> None:
    system = ClosedLoopSystem()
    teach(system, labelled(600, seed=3))
    assert system.models.beginner is None
    assert learnt_by_the_candidate(system) == 600


def test_only_alarms_about_what_was_learnt_call_for_a_beginner() -> None:
    model = OnlineTextModel()
    model.learn([("good", "yes")], np.ones(1))
    for kind, wanted in (("concept", True), ("performance", True), ("input", False), ("behaviour", False)):
        found = begun(model, [Alarm(kind, 100, 50, 0.5, 1.0)])
        assert (found is not None) == wanted
        assert found is None or found.version() == OnlineTextModel().version()


def test_a_beginner_that_is_no_better_never_takes_over() -> None:
    draws, rivalry = np.random.default_rng(2), Rivalry()
    for _ in range(50):
        true = draws.integers(2, size=100).astype(float)
        learner, beginner = (np.clip(0.3 + 0.4 * true + draws.normal(0.0, 0.1, 100), 0.0, 1.0) for _ in range(2))
        rivalry = rivalry.after(learner, np.clip(beginner + 0.05, 0.0, 1.0), true)
        assert not rivalry.won(0.05)


def test_two_equal_gains_are_no_certainty_yet_and_sixty_are() -> None:
    few = Rivalry().after(np.full(2, 0.5), np.full(2, 0.4), np.zeros(2))
    assert not few.won(error=0.05)
    assert Rivalry().after(np.full(60, 0.5), np.full(60, 0.4), np.zeros(60)).won(error=0.05)
