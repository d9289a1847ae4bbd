"""What alignment rests on: users compared with themselves, humans with each other, segments, calibration, propensities."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from meta_learning.clrs import AlignmentScorer, Exchange
from meta_learning.clrs.alignment.ceiling import DOUBLES_MAX, WAITING_MAX, HumanCeiling
from meta_learning.clrs.alignment.comparison import tallies, tally
from meta_learning.clrs.alignment.recent import RecentEvents
from meta_learning.clrs.models.port import Floats


def test_a_model_that_orders_within_users_is_aligned_whatever_the_offsets_of_their_scales() -> None:
    draws, scorer, blind = np.random.default_rng(0), AlignmentScorer(), AlignmentScorer()
    for _ in range(10):
        user, taste = draws.integers(5, size=100), draws.random(100)
        true = np.clip(0.1 * taste + 0.2 * user, 0, 1)
        scorer.update(taste, true, [Exchange("q", "a", user_id=f"u{number}") for number in user])
        blind.update(taste, true)
    found = scorer.result()
    assert (found["basis"], found["current"], found["state"]) == ("within_users", 1.0, "aligned")
    assert blind.result()["current"] < 0.4
    assert found["disagreement"] > 0.5


def test_users_who_hear_once_a_batch_are_compared_with_each_other() -> None:
    draws, scorer = np.random.default_rng(1), AlignmentScorer()
    for _ in range(3):
        true = draws.random(100)
        scorer.update(true, true, [Exchange("q", "a", user_id=f"u{number}") for number in range(100)])
    assert scorer.result()["basis"] == "everyone"
    assert scorer.result()["current"] == 1.0


def test_the_ceiling_is_what_two_users_reach_with_each_other() -> None:
    draws, scorer = np.random.default_rng(2), AlignmentScorer()
    for batch in range(6):
        taste = draws.random(100)
        said = [np.clip(taste + 0.25 * draws.normal(size=100), 0, 1) for _ in range(2)]
        for user, scores in zip(("ann", "bob"), said, strict=True):
            told = [Exchange(f"question {batch} {number}", "yes", user_id=user) for number in range(100)]
            scorer.update(taste, scores, told)
    found = scorer.result()
    assert found["ceiling_source"] == "measured"
    assert found["ceiling_n"] == DOUBLES_MAX
    assert 0.7 < found["ceiling"] < 0.85
    assert found["concordance"] > found["ceiling"]  # the taste itself orders better than another noisy user
    assert found["current"] == 1.0


def test_users_of_different_generosity_agree_when_they_order_alike() -> None:
    humans, draws = HumanCeiling(), np.random.default_rng(3)
    taste = draws.random(120)
    for user, offset in (("ann", 0.0), ("bob", 0.5)):
        humans.update([Exchange(f"q{number}", "a", user_id=user) for number in range(120)], taste / 2 + offset)
    found = humans.result()
    assert found is not None
    assert found.value == 1.0


def test_one_user_who_judges_twice_is_no_ceiling_and_strangers_are_not_remembered() -> None:
    humans, scores = HumanCeiling(), np.linspace(0, 1, 100)
    for user in ("ann", "ann", None):
        humans.update([Exchange(f"q{number}", "a", user_id=user) for number in range(100)], scores)
    assert humans.result() is None


def test_the_sketch_of_judged_answers_stays_small() -> None:
    humans, draws = HumanCeiling(), np.random.default_rng(4)
    for batch in range(40):
        told = [Exchange(f"q{number // 3} {batch}", "a", user_id=f"u{number}") for number in range(100)]
        humans.update(told, draws.random(100))
    state = humans.state()
    assert len(state["waiting"]) <= WAITING_MAX
    assert len(state["doubles"]) <= DOUBLES_MAX
    assert len(json.dumps(state)) < 40_000
    assert HumanCeiling.from_state(json.loads(json.dumps(state))).result() == humans.result()


def test_the_worst_segment_is_named_with_its_lower_bound() -> None:
    draws, scorer = np.random.default_rng(5), AlignmentScorer()
    for _ in range(10):
        true, known = draws.random(100), draws.random(100) < 0.7
        predicted = np.where(known, true, draws.random(100))
        scorer.update(predicted, true, [Exchange("q", "a", segment="en" if here else "fi") for here in known])
    worst = scorer.result()["worst_segment"]
    assert (worst["segment"], worst["segments"]) == ("fi", 2)
    assert worst["n"] >= 50
    assert worst["low"] < worst["current"] < scorer.result()["current"]


def test_a_segment_of_few_events_is_not_judged() -> None:
    scorer, true = AlignmentScorer(), np.linspace(0, 1, 100)
    scorer.update(true, true, [Exchange("q", "a", segment="en" if number > 20 else "fi") for number in range(100)])
    assert scorer.result()["worst_segment"]["segment"] == "en"


def test_propensities_give_the_concordance_under_even_logging() -> None:
    """Where the model orders badly was shown rarely: unweighted, that would hardly count."""
    draws, scorer, plain = np.random.default_rng(6), AlignmentScorer(), AlignmentScorer()
    for _ in range(20):
        rare = draws.random(100) < 0.2
        true = draws.random(100)
        predicted = np.where(rare, 0.5 + 0.2 * draws.random(100), true)
        told = [Exchange("q", "a", propensity=0.125 if here else 0.5) for here in rare]
        scorer.update(predicted, true, told)
        plain.update(predicted, true)
    even = tally(*_evenly(np.random.default_rng(7))).value
    assert scorer.result()["concordance"] == pytest.approx(even, abs=0.03)
    assert plain.result()["concordance"] > even + 0.04


def _evenly(draws: np.random.Generator) -> tuple[Floats, Floats]:
    rare, true = draws.random(4000) < 0.5, draws.random(4000)
    return np.where(rare, 0.5 + 0.2 * draws.random(4000), true), true


def test_weights_that_leave_too_few_effective_events_give_no_score() -> None:
    scorer, true = AlignmentScorer(), np.linspace(0, 1, 80)
    told = [Exchange("q", "a", propensity=0.01 if number % 10 == 0 else 1.0) for number in range(80)]
    scorer.update(true, true, told)
    found = scorer.result()
    assert found["effective_n"] < 50
    assert (found["current"], found["state"]) == (None, "undecided")


def test_calibration_error_is_small_for_a_calibrated_model_and_the_gap_for_another() -> None:
    draws, good, bold = np.random.default_rng(8), RecentEvents(), RecentEvents()
    chances = draws.random(1000)
    true = (draws.random(1000) < chances).astype(float)
    good.update(chances, true, [None] * 1000)
    bold.update(np.clip(chances + 0.2, 0, 1), true, [None] * 1000)
    assert (good.calibration_error() or 0) < 0.03  # undebiased, fifteen bins of 67 give .06 by chance alone
    assert bold.calibration_error() == pytest.approx(0.19, abs=0.03)
    assert (good.brier() or 1) < (bold.brier() or 0)


def test_disagreement_is_nil_when_users_differ_by_chance_only() -> None:
    draws, recent = np.random.default_rng(9), RecentEvents()
    recent.update(draws.random(1000), draws.random(1000), [f"u{user}" for user in draws.integers(20, size=1000)])
    assert (recent.disagreement() or 0) < 0.02


def test_tallies_of_groups_are_those_of_their_events_alone() -> None:
    draws = np.random.default_rng(10)
    predicted, true, weights = draws.random(300), draws.integers(3, size=300) / 2, draws.random(300) + 0.5
    groups = draws.integers(-1, 4, size=300)
    found = tallies(predicted, true, weights, groups)
    assert sorted(found) == [0, 1, 2, 3]
    for group, part in found.items():
        inside = groups == group
        alone = tally(predicted[inside], true[inside], weights[inside])
        assert part.numbers() == pytest.approx(alone.numbers())


def test_weighted_concordance_is_the_weighted_area_under_the_curve() -> None:
    draws = np.random.default_rng(11)
    true, weights = draws.integers(2, size=400).astype(float), draws.random(400) + 0.1
    predicted = np.round(true * 0.3 + draws.random(400), 1)
    assert tally(predicted, true, weights).value == pytest.approx(roc_auc_score(true, predicted, sample_weight=weights))
