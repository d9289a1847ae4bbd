"""Minimal feedback: the budget is kept, every interaction may be asked about, and weights 1/p take the bias away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.acting import Cause
from meta_learning.clrs.asking import Asked, Asker
from meta_learning.errors import ConfigurationError


def decisions(asker: Asker, scores: np.ndarray) -> list[Asked]:
    return [asker.should_ask(float(score), Cause(0, "l", str(n)), "q", "a") for n, score in enumerate(scores)]


@pytest.mark.parametrize("per_100", [2.0, 10.0, 50.0])
@pytest.mark.parametrize("shape", [(1.0, 1.0), (0.2, 0.2), (8.0, 8.0)], ids=["flat", "sure", "unsure"])
def test_the_budget_is_kept_whatever_the_margins_are(per_100: float, shape: tuple[float, float]) -> None:
    scores = np.random.default_rng(5).beta(*shape, size=4000)
    found = decisions(Asker(per_100), scores)[200:]
    assert 100 * np.mean([item.ask for item in found]) == pytest.approx(per_100, abs=0.1 * per_100 + 0.8)


@given(scores=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=100), per_100=st.floats(0.5, 100.0))
@settings(max_examples=30)
def test_no_interaction_is_beyond_asking_and_no_weight_above_five_times_the_mean(
    scores: list[float], per_100: float
) -> None:
    for item in decisions(Asker(per_100), np.array(scores)):
        assert 0.2 * (per_100 / 100.0) <= item.propensity <= 1.0


def test_the_less_sure_the_model_the_likelier_it_asks() -> None:
    asker = Asker(10.0, level=-1.0)
    sure, unsure = (Asker(10.0, level=asker.level).should_ask(s, Cause(0, "l", "u"), "q", "a") for s in (0.95, 0.5))
    assert unsure.propensity > 3 * sure.propensity


def test_weights_of_one_over_p_take_the_bias_of_asking_away() -> None:
    draws = np.random.default_rng(1)
    scores = draws.random(20_000)
    right = draws.random(20_000) < 0.5 + np.abs(scores - 0.5)  # surer answers are right more often
    found = decisions(Asker(20.0), scores)
    asked = np.array([item.ask for item in found])
    weights = asked / np.array([item.propensity for item in found])
    plain, weighted = right[asked].mean(), float((weights * right).sum() / weights.sum())
    assert abs(plain - right.mean()) > 0.06
    assert weighted == pytest.approx(right.mean(), abs=0.025)


def test_a_budget_of_a_hundred_asks_always_and_one_out_of_bounds_is_refused() -> None:
    assert {item.propensity for item in decisions(Asker(100.0), np.linspace(0, 1, 9))} == {1.0}
    for wrong in (0.0, -1.0, 101.0, float("nan")):
        with pytest.raises(ConfigurationError, match="per_100"):
            Asker(wrong)


def test_a_loop_asks_by_its_own_budget_and_the_same_about_the_same() -> None:
    found = []
    for _ in range(2):
        loop = ClosedLoopSystem(seed=4)
        loop.asker = Asker(30.0)
        found.append([loop.should_ask(f"case {n}", "yes", unit="u7") for n in range(300)])
    assert found[0] == found[1]
    assert 0.2 < np.mean([item.ask for item in found[0]]) < 0.4
