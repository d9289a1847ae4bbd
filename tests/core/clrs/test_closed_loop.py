"""What an application sees: it teaches, asks, ranks and reads the summary."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, EstimatorModel, LoopSettings, OnlineTextModel
from meta_learning.clrs.gating.judging import replay_decision
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.errors import ConfigurationError, MalformedEvent, WorldError
from meta_learning.events import CycleCompleted
from tests.core.clrs.streams import labelled


def teach(system: ClosedLoopSystem, rows: Sequence[tuple[str, str, float]]) -> list[CycleCompleted]:
    told = [system.collect_feedback(input_text=a, output_text=b, feedback_score=score) for a, b, score in rows]
    return [cycle for cycle in told if cycle is not None]


def test_a_learnable_stream_has_a_first_champion_after_its_first_cycle() -> None:
    system = ClosedLoopSystem()
    cycles = teach(system, labelled(300))
    assert cycles[0].decision == "promoted"
    assert cycles[1].champion_version == cycles[0].candidate_version
    assert all(cycle.reasons for cycle in cycles)
    assert [replay_decision(cycle).reasons for cycle in cycles] == [cycle.reasons for cycle in cycles]


def test_a_young_champion_makes_way_for_what_learns_until_it_is_grown_up() -> None:
    system = ClosedLoopSystem(cycle_size=50)
    # Three labels of ten are wrong: skill comes slowly.
    draws = np.random.default_rng(1)
    rows = [(a, b, score if draws.random() < 0.7 else 1.0 - score) for a, b, score in labelled(1500)]
    cycles = teach(system, rows)
    young = [cycle.gate["before"]["young"] for cycle in cycles]
    assert True in young
    assert not any(young[1000 // 50 :]), "however little it knows, a champion is grown up after young_events"
    for cycle, after in pairwise(cycles):
        if cycle.gate["before"]["young"] and cycle.decision == "promoted":
            assert after.champion_version == cycle.candidate_version
            assert "young itself" in " ".join(cycle.reasons)


def test_after_learning_the_right_answer_ranks_first_on_unseen_questions() -> None:
    system = ClosedLoopSystem()
    teach(system, labelled(1000))
    right = 0
    for asked, label, score in labelled(200, seed=5):
        best = system.rank(input_text=asked, candidates=["positive", "negative"])[0][0]
        right += (best == label) == (score == 1.0)
    assert right >= 180


def test_a_candidate_that_learnt_flipped_labels_is_held() -> None:
    system = ClosedLoopSystem()
    teach(system, labelled(800))
    teach(system, labelled(100, seed=1, flipped=True))
    champion, poisoned = system.champion_version, system.candidate_version
    (after,) = teach(system, labelled(100, seed=2))
    assert (after.decision, after.candidate_version, after.champion_version) == ("held", poisoned, champion)
    assert "worse" in " ".join(after.reasons)
    assert system.champion_version == champion


def test_without_signal_nothing_is_promoted_to_beat_the_constant() -> None:
    draws = np.random.default_rng(3)
    rows = [(asked, label, float(draws.integers(2))) for asked, label, _ in labelled(600)]
    assert not [cycle for cycle in teach(ClosedLoopSystem(), rows) if cycle.decision == "promoted"]


def test_before_a_first_version_the_score_is_the_mean_of_the_feedback() -> None:
    system = ClosedLoopSystem(cycle_size=10)
    assert system.score(input_text="a", output_text="b") == 0.5
    teach(system, [("a", "b", 0.8)] * 10)
    assert system.score(input_text="a", output_text="b") == pytest.approx(0.8)
    assert system.rank(input_text="a", candidates=["x", "y"]) == [("x", 0.8), ("y", 0.8)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"feedback_score": 1.2}, "feedback_score"),
        ({"feedback_score": float("nan")}, "feedback_score"),
        ({"feedback_score": "0.5"}, "feedback_score"),
        ({"feedback_score": True}, "feedback_score"),
        ({"input_text": None}, "input_text"),
        ({"output_text": "x" * 40_000}, "output_text"),
        ({"input_text": "\ud800"}, "input_text"),
        ({"metadata": {"x": float("inf")}}, "metadata"),
        ({"user_id": ""}, "user_id"),
    ],
)
def test_invalid_feedback_is_refused_by_name_and_changes_nothing(wrong: dict[str, object], field: str) -> None:
    system = ClosedLoopSystem()
    before = system.snapshot().state
    good: dict[str, object] = {"input_text": "a", "output_text": "b", "feedback_score": 0.5}
    with pytest.raises(MalformedEvent) as caught:
        system.collect_feedback(**{**good, **wrong})  # type: ignore[arg-type]
    assert caught.value.field is not None
    assert caught.value.field.startswith(field)
    assert system.snapshot().state == before


def test_numpy_scores_are_taken_as_numbers() -> None:
    system = ClosedLoopSystem()
    system.collect_feedback(input_text="a", output_text="b", feedback_score=np.float32(0.5))  # type: ignore[arg-type]
    assert system.get_system_summary()["counts"]["accepted"] == 1


@pytest.mark.parametrize("wrong", [{"cycle_size": 1}, {"drift_threshold": 2.0}, {"probe_size": 0}, {"seed": -1}])
def test_settings_out_of_bounds_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        ClosedLoopSystem(**wrong)  # type: ignore[arg-type]


def test_a_named_setting_that_contradicts_the_settings_object_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cycle_size"):
        ClosedLoopSystem(cycle_size=50, settings=LoopSettings(cycle_size=20))


class Moody(OnlineTextModel):
    """Learns well, until it is told to break."""

    broken: str = ""

    def copy(self) -> Moody:
        twin = super().copy()
        twin.broken = self.broken
        return twin

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        if self.broken == "predict":
            raise RuntimeError("out of memory")
        scores = super().predict(pairs)
        return scores * np.nan if self.broken == "nan" else scores

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        super().learn(pairs, targets, weights)
        if self.broken == "learn":
            raise RuntimeError("out of memory")

    def version(self) -> str:
        if self.broken == "version":
            raise RuntimeError("out of memory")
        return super().version()

    def dump(self) -> bytes:
        if self.broken == "dump":
            raise RuntimeError("out of memory")
        return super().dump()


class Stubborn(OnlineTextModel):
    """Says the same number to everything, whatever it learnt; from ``after`` lessons on."""

    said, after, lessons = 0.5, 0, 0

    def copy(self) -> Stubborn:
        twin = super().copy()
        twin.said, twin.after, twin.lessons = self.said, self.after, self.lessons
        return twin

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        return np.full(len(pairs), self.said) if self.lessons >= self.after else super().predict(pairs)

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        super().learn(pairs, targets, weights)
        self.lessons += 1


@pytest.mark.parametrize("said", [float("nan"), float("inf"), 1.5, -0.2])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_outputs_outside_the_unit_interval_reject_their_cycle_from_the_first_one_on(said: float, after: int) -> None:
    model = Stubborn()
    model.said, model.after = said, after
    cycles = teach(ClosedLoopSystem(model=model, cycle_size=20), labelled(120))
    assert len(cycles) == 6
    assert cycles[-1].decision == "rejected"
    assert "promoted" not in [cycle.decision for cycle in cycles[after:]]


@pytest.mark.parametrize(
    ("broken", "said"), [("learn", "out of memory"), ("predict", "out of memory"), ("nan", "finite")]
)
def test_a_model_that_breaks_rejects_its_cycle_and_the_old_version_stays(broken: str, said: str) -> None:
    system = ClosedLoopSystem(model=Moody(), cycle_size=50)
    teach(system, labelled(300))
    champion, candidate = system.champion_version, system._candidate
    assert champion is not None
    assert isinstance(candidate, Moody)
    before = candidate.version()
    candidate.broken = broken
    (cycle,) = teach(system, labelled(50, seed=4))
    assert cycle.decision == "rejected"
    assert said in " ".join(cycle.reasons)
    assert (system.champion_version, system.candidate_version) == (champion, before)
    candidate.broken = ""
    assert teach(system, labelled(50, seed=5))[0].decision in {"promoted", "held"}
    counts = system.get_system_summary()["counts"]
    assert (counts["unlearnt"], counts["accepted"]) == (50, 400)


def test_a_model_that_cannot_say_its_version_is_a_clear_error_that_loses_nothing() -> None:
    system, unbroken = (ClosedLoopSystem(model=Moody(), cycle_size=50) for _ in range(2))
    rows = labelled(400)
    for one in (system, unbroken):
        teach(one, rows[:349])
    system._candidate.broken = "version"  # type: ignore[attr-defined]
    for _ in range(2):
        with pytest.raises(WorldError, match="cannot say its version: RuntimeError: out of memory"):
            teach(system, rows[349:350])
    with pytest.raises(WorldError, match="cannot say its version"):
        system.snapshot()
    assert system.score("lovely room", "positive") == unbroken.score("lovely room", "positive")
    system._candidate.broken = ""  # type: ignore[attr-defined]
    told, wanted = (teach(one, rows[349:]) for one in (system, unbroken))
    assert [cycle.encode() for cycle in told] == [cycle.encode() for cycle in wanted]
    assert len(told) == 2
    assert system.snapshot().state == unbroken.snapshot().state


def test_a_snapshot_that_failed_half_way_is_whole_the_next_time() -> None:
    system = ClosedLoopSystem(model=Moody(), cycle_size=50)
    teach(system, labelled(200))
    assert system._champion is not system._candidate
    system._champion.broken = "dump"  # type: ignore[union-attr]
    with pytest.raises(WorldError, match="cannot be dumped"):
        system.snapshot()
    system._champion.broken = ""  # type: ignore[union-attr]
    saved = system.snapshot()
    assert set(saved.versions.values()) <= set(saved.blobs)


def test_a_model_that_never_says_its_version_is_refused_at_once() -> None:
    model = Moody()
    model.broken = "version"
    with pytest.raises(WorldError, match="cannot say its version"):
        ClosedLoopSystem(model=model)


def test_a_scikit_learn_estimator_learns_in_the_loop_and_survives_a_restore() -> None:
    from sklearn.linear_model import SGDClassifier

    model = EstimatorModel(SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.5, random_state=0))
    system = ClosedLoopSystem(model=model, cycle_size=100)
    cycles = teach(system, labelled(800))
    assert "promoted" in [cycle.decision for cycle in cycles]
    saved = system.snapshot()
    again = ClosedLoopSystem.restore(saved.state, saved.blobs.__getitem__)
    assert again.score(input_text="lovely room", output_text="positive") == system.score("lovely room", "positive")
    for part in (system, again):
        teach(part, labelled(100, seed=9))
    assert again.candidate_version == system.candidate_version


def test_the_summary_is_empty_of_scores_until_they_mean_something() -> None:
    summary = ClosedLoopSystem().get_system_summary()
    assert [summary[name]["current"] for name in ("drift", "alignment", "coherence")] == [None, None, None]
    assert summary["champion_version"] is None


def test_the_summary_has_scores_with_intervals_once_there_is_a_champion() -> None:
    system = ClosedLoopSystem()
    teach(system, labelled(1200))
    summary = system.get_system_summary()
    for name in ("drift", "alignment", "coherence"):
        score = summary[name]
        assert 0.0 <= score["low"] <= score["current"] <= score["high"] <= 1.0
        assert score["n"] > 0
    assert summary["alignment"]["state"] == "aligned"
    assert summary["drift"]["current"] <= 0.3
    assert summary["cycles"] == 12
    assert len(summary["history"]) == 12
