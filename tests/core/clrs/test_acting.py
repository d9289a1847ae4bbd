"""Exploration: probabilities that are right, draws that can be repeated, and a record that comes back with the feedback."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.acting import (
    Cause,
    EpsilonGreedy,
    Greedy,
    Policy,
    Shown,
    Softmax,
    SquareCB,
    choose,
    policy_named,
    shown_of,
    uniform_of,
    weight_of,
)
from meta_learning.errors import CallerError, ConfigurationError, MalformedEvent
from tests.core.clrs.streams import events, labelled

POLICIES: list[Policy] = [Greedy(), EpsilonGreedy(0.1), SquareCB(), SquareCB(scale=5.0), Softmax(0.05)]
scores_of_candidates = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20).map(np.array)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@given(scores=scores_of_candidates, learnt=st.integers(0, 10**7))
def test_probabilities_are_none_below_zero_sum_to_one_and_favour_the_best(
    policy: Policy, scores: np.ndarray, learnt: int
) -> None:
    shares = policy.probabilities(scores, learnt)
    assert shares.shape == scores.shape
    assert (shares >= 0.0).all()
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert shares[int(np.argmax(scores))] == pytest.approx(shares.max(), abs=1e-12)


def test_inverse_gap_weighting_is_what_the_paper_says() -> None:
    shares = SquareCB(scale=2.0, exponent=0.5).probabilities(np.array([0.9, 0.4, 0.9, 0.1]), 100)
    assert shares[1] == pytest.approx(1 / (4 + 20 * 0.5))
    assert shares[3] == pytest.approx(1 / (4 + 20 * 0.8))
    assert shares[2] == pytest.approx(1 / 4)  # an equal of the best is no worse by any gap


@given(
    text=st.text(),
    candidates=st.lists(st.text(), min_size=1, max_size=6),
    unit=st.text(),
    policy=st.sampled_from(POLICIES),
)
@settings(max_examples=60)
def test_the_same_cause_gives_the_same_choice_in_whatever_order_the_candidates_come(
    text: str, candidates: list[str], unit: str, policy: Policy
) -> None:
    distinct = sorted(set(candidates))
    scores = np.linspace(0.2, 0.8, len(distinct))
    shares, cause = policy.probabilities(scores, 50), Cause(3, "support", unit)
    first = choose(text, distinct, scores, shares, cause)
    assert choose(text, distinct, scores, shares, cause) == first
    turned = choose(text, distinct[::-1], scores[::-1], shares[::-1], cause)
    assert (turned.output_text, turned.propensity) == (first.output_text, first.propensity)
    assert first.propensity == shares[first.index] > 0.0


def test_candidates_are_shown_as_often_as_their_propensities_say() -> None:
    shares = np.array([0.05, 0.25, 0.7])
    shown = [choose("q", ["a", "b", "c"], shares, shares, Cause(0, "l", str(n))).index for n in range(20_000)]
    counts = np.bincount(shown, minlength=3) / len(shown)
    assert counts == pytest.approx(shares, abs=0.013)  # four standard errors


def test_a_text_given_twice_has_the_propensity_of_both_places() -> None:
    shares = np.array([0.3, 0.3, 0.4])
    choices = [choose("q", ["a", "a", "b"], shares, shares, Cause(0, "l", str(n))) for n in range(300)]
    assert {choice.index for choice in choices} == {0, 1, 2}
    assert {round(choice.propensity, 12) for choice in choices if choice.output_text == "a"} == {0.6}


def test_texts_that_run_together_alike_draw_differently() -> None:
    cause = Cause(0, "l", "u")
    assert uniform_of("show", cause, "ab", "c") != uniform_of("show", cause, "a", "bc")


@pytest.mark.parametrize(
    "text", ["random", "greedy:1", "softmax:cold", "epsilon_greedy:2", "squarecb:-1", "softmax:nan"]
)
def test_a_wrong_name_or_strength_of_exploration_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        policy_named(text)


def test_no_candidates_are_the_callers_mistake() -> None:
    with pytest.raises(CallerError, match="candidates"):
        ClosedLoopSystem().act("hello", [])


def test_the_record_survives_the_way_through_an_event() -> None:
    shown = Shown("u7", ("yes", "no"), asked=True, ask_propensity=0.2)
    event = events([("q", "yes", 1.0)])[0].model_copy(update={"metadata": shown.metadata(), "propensity": 0.5})
    assert shown_of(event) == shown
    assert weight_of(event, weight_max=100.0) == pytest.approx(10.0)
    assert weight_of(event) == 10.0


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda deeper: (
            st.lists(deeper) | st.dictionaries(st.sampled_from(["unit", "candidates", "asked", "x"]), deeper)
        ),
    )
)
@settings(max_examples=50)
def test_foreign_metadata_counts_as_nothing_said(said: object) -> None:
    event = events([("q", "yes", 1.0)])[0].model_copy(update={"metadata": {"acting": said}})
    assert 1.0 <= weight_of(event) <= 10.0


def test_a_long_list_of_candidates_is_left_out_of_the_record() -> None:
    assert "candidates" not in Shown("u", tuple(f"{n} " + "x" * 100 for n in range(30))).metadata()["acting"]


def acted(count: int) -> tuple[list[float], ClosedLoopSystem]:
    """A loop that chooses the labels itself, and what users said."""
    loop, liked = ClosedLoopSystem(cycle_size=25), list[float]()
    for text, label, score in labelled(count):
        right = label if score == 1.0 else {"positive": "negative", "negative": "positive"}[label]
        choice = loop.act(text, ["positive", "negative"])
        liked.append(float(choice.output_text == right))
        loop.collect_feedback(feedback_score=liked[-1], **choice.feedback)
    return liked, loop


def test_a_loop_that_acts_on_what_it_learnt_gets_better_and_does_the_same_again() -> None:
    liked, loop = acted(250)
    assert np.mean(liked[:50]) < 0.75
    assert np.mean(liked[-100:]) > 0.9
    again, twin = acted(250)
    assert again == liked
    assert twin.snapshot().state == loop.snapshot().state


def test_a_unit_keeps_its_answer_and_greedy_never_explores() -> None:
    _, loop = acted(100)
    asked = ("a lovely warm evening", ["negative", "positive"])
    assert len({loop.act(*asked, unit="u7", policy=SquareCB(1.0)).output_text for _ in range(5)}) == 1
    explored = {loop.act(*asked, unit=str(n), policy=SquareCB(0.01)).output_text for n in range(50)}
    assert explored == {"negative", "positive"}
    greedy = [loop.act(*asked, unit=str(n), policy=Greedy()) for n in range(50)]
    assert {(choice.output_text, choice.propensity) for choice in greedy} == {(loop.rank(*asked)[0][0], 1.0)}


def test_a_propensity_out_of_bounds_is_refused_by_name() -> None:
    with pytest.raises(MalformedEvent, match="propensity"):
        ClosedLoopSystem().collect_feedback("q", "a", 1.0, propensity=0.0)
