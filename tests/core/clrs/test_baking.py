"""What took over is watched: if it loses against the version before it, that one takes over again."""

from __future__ import annotations

import time

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, LoopSettings, OnlineTextModel
from meta_learning.clrs.gating.baking import Baking
from meta_learning.clrs.models.port import Floats
from meta_learning.events import CycleCompleted, Event, FeedbackReceived, ModelPromoted
from tests.core.clrs.streams import events, labelled

SETTINGS = LoopSettings(cycle_size=50, probe_size=50, baking_cycles=10)


def baked(champion_error: float, seed: int, cycles: int = 10) -> bool:
    """Whether a champion whose answers are off by this much more than its shadow's is taken back within some cycles."""
    draws, baking = np.random.default_rng([3, seed]), Baking()
    for _ in range(cycles):
        true = draws.integers(2, size=100).astype(float)
        shadow = np.clip(0.5 + 0.2 * (2 * true - 1) + draws.normal(0, 0.15, 100), 0, 1)
        champion = np.clip(shadow - champion_error * (2 * true - 1) + draws.normal(0, 0.02, 100), 0, 1)
        baking = baking.observe(champion, shadow, true)
        if baking.surely_worse(0.01):
            return True
    return False


def test_a_champion_that_is_no_worse_is_hardly_ever_taken_back_and_one_that_lost_two_points_soon_is() -> None:
    assert sum(baked(0.0, seed) for seed in range(200)) <= 4
    assert sum(baked(-0.01, seed) for seed in range(100)) == 0
    assert sum(baked(0.02, seed) for seed in range(100)) >= 95


def test_two_models_with_the_same_answers_have_nothing_to_bet_on() -> None:
    same = np.full(10, 0.4)
    assert Baking().observe(same, same, np.ones(10)).evidence == pytest.approx(1.0)


class Trojan(OnlineTextModel):
    """Answers well until a word is heard, then the other way round: no gate can see that before it happens."""

    turned = False

    def copy(self) -> Trojan:
        twin = super().copy()
        twin.turned = self.turned
        return twin

    def predict(self, pairs: object) -> Floats:
        found = super().predict(pairs)  # type: ignore[arg-type]
        return 1.0 - found if self.turned else found


def told(system: ClosedLoopSystem, feedback: list[FeedbackReceived], first: int) -> list[Event]:
    return [event for at, one in enumerate(feedback) for event in system.fold(one, f"{first + at + 1}-0")]


def turned() -> tuple[ClosedLoopSystem, list[FeedbackReceived]]:
    """A loop whose champion turns against its users while it bakes."""
    feedback = events(labelled(600))
    system = ClosedLoopSystem(model=Trojan(), settings=SETTINGS)
    told(system, feedback[:400], 0)
    assert system.models.shadow is not None
    champion = system.models.champion
    assert isinstance(champion, Trojan)
    champion.turned = True
    return system, feedback


def test_a_champion_that_turns_bad_is_rolled_back_within_a_cycle_by_an_event_that_says_so() -> None:
    system, feedback = turned()
    bad, shadow = system.champion_version, system.models.shadow
    assert shadow is not None
    said = told(system, feedback[400:450], 400)
    promoted = [event for event in said if isinstance(event, ModelPromoted)]
    assert [(event.cause, event.previous, event.version) for event in promoted] == [("rollback", bad, shadow.version())]
    (cycle,) = [event for event in said if isinstance(event, CycleCompleted)]
    assert cycle.decision == "held"
    assert cycle.reasons[0].startswith("rolled back")
    assert (system.champion_version, system.models.shadow) == (shadow.version(), None)


def test_a_rollback_moves_a_pointer_and_takes_less_than_a_second() -> None:
    system, feedback = turned()
    told(system, feedback[400:449], 400)
    before = system.score(feedback[0].input_text, feedback[0].output_text)
    started = time.perf_counter()
    said = system.fold(feedback[449], "450-0")
    after = system.score(feedback[0].input_text, feedback[0].output_text)
    assert time.perf_counter() - started < 1.0
    assert isinstance(said[-1], ModelPromoted)
    assert (before >= 0.5) != (after >= 0.5)


def test_a_version_that_was_rolled_back_does_not_take_over_again_without_being_proven_better() -> None:
    system, feedback = turned()
    champion = system.models.champion
    assert champion is not None
    bad = champion.version()
    told(system, feedback[400:450], 400)
    assert bad in system._state.docket.rolled_back
    twin = champion.copy()
    system.models.candidate = twin
    (cycle,) = [event for event in told(system, feedback[450:500], 450) if isinstance(event, CycleCompleted)]
    assert (cycle.decision, cycle.candidate_version) == ("held", bad)
    assert "rolled back" in " ".join(cycle.reasons)


def test_baking_ends_and_the_next_promotion_starts_another_one() -> None:
    system = ClosedLoopSystem(settings=LoopSettings(cycle_size=50, probe_size=50, baking_cycles=3))
    shadows = []
    for at, event in enumerate(events(labelled(700))):
        for one in system.fold(event, f"{at + 1}-0"):
            if isinstance(one, CycleCompleted):
                shadows.append(one.shadow_version)
    assert len(set(shadows)) > 2
    assert max(shadows.count(version) for version in set(shadows) - {None}) <= 3


def test_without_baking_cycles_no_shadow_is_kept() -> None:
    system = ClosedLoopSystem(settings=LoopSettings(cycle_size=50, probe_size=50, baking_cycles=0))
    told(system, events(labelled(500)), 0)
    assert system.champion_version is not None
    assert system.models.shadow is None


def test_a_cycle_that_no_model_could_answer_leaves_the_shadow_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    feedback = events(labelled(600))
    system, at = ClosedLoopSystem(model=Trojan(), settings=SETTINGS), 0
    while system.models.shadow is None:
        told(system, feedback[at : at + 50], at)
        at += 50
    shadow = system.models.shadow.version()
    with monkeypatch.context() as broken:
        broken.setattr(Trojan, "predict", _away)
        told(system, feedback[at : at + 50], at)
    assert system.models.shadow.version() == shadow != system.champion_version


def _away(model: Trojan, pairs: object) -> Floats:
    raise OSError("the weights are away")
