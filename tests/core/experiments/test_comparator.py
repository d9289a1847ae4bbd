"""The comparator finds what is there, keeps its promise about what is not, and agrees with other libraries."""

from __future__ import annotations

import numpy as np
import pytest

from meta_learning.acla.statistics import holm
from meta_learning.experiments.comparator import compare, paired_p_value, power


def arm(values: np.ndarray) -> dict[str, float]:
    return {f"item {number}": float(value) for number, value in enumerate(values)}


def test_only_shared_items_are_paired() -> None:
    found = compare("a", {"x": 1.0, "y": 0.0}, {"b": {"y": 1.0, "z": 1.0}, "c": {}})
    assert [one.pairs_count for one in found] == [1, 0]
    assert found[0].gain == -1.0
    assert found[1].gain is None
    assert not found[1].wins


def test_a_true_gain_is_found_and_a_loss_is_called_one() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(400)
    better, worse = arm(base < 0.8), arm(base < 0.6)
    assert compare("a", better, {"b": worse})[0].wins
    assert compare("a", worse, {"b": better})[0].loses


def test_equal_arms_are_called_different_no_more_often_than_promised() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(300):
        difference = rng.choice([-1.0, 0.0, 1.0], size=100, p=[0.1, 0.8, 0.1])
        alarms += paired_p_value(difference) < 0.05
    assert alarms <= 22  # 5 % of 300 and two standard errors


def test_the_power_that_is_claimed_is_the_power_that_is_had() -> None:
    rng, gain, discordant, count = np.random.default_rng(3), 0.1, 0.3, 200
    found = []
    for _ in range(300):
        difference = rng.choice(
            [-1.0, 0.0, 1.0], size=count, p=[(discordant - gain) / 2, 1 - discordant, (discordant + gain) / 2]
        )
        found.append(paired_p_value(difference) < 0.05)
    # The exact test is a little conservative, the formula is not.
    assert np.mean(found) == pytest.approx(power(count, gain, discordant), abs=0.1)


def test_graded_scores_are_tested_by_flipping_signs() -> None:
    assert paired_p_value(np.array([0.5, 0.25, 0.75, 0.1])) == pytest.approx(2 / 2**4)
    assert paired_p_value(np.zeros(9)) == 1.0
    long = np.random.default_rng(4).normal(0.3, 0.5, size=60)
    assert paired_p_value(long, seed=1) == paired_p_value(long, seed=1) < 0.01


def test_several_comparisons_are_corrected_together() -> None:
    scores = arm(np.array([1.0] * 8 + [0.0] * 8))
    other = arm(np.array([1.0] * 2 + [0.0] * 14))
    alone = compare("a", scores, {"b": other})[0]
    together = compare("a", scores, {"b": other, "c": other, "d": other})
    assert together[0].p_adjusted == pytest.approx(3 * alone.p_value)


def test_tests_and_corrections_agree_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is only an oracle here")
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    values = [0.01, 0.04, 0.03, 0.2, 0.0004]
    assert holm(values) == pytest.approx(multitest.multipletests(values, method="holm")[1].tolist())
    difference = np.array([1.0] * 14 + [-1.0] * 5 + [0.0] * 30)
    assert paired_p_value(difference) == pytest.approx(tables.mcnemar([[20, 14], [5, 10]], exact=True).pvalue)


def test_a_single_difference_is_no_evidence() -> None:
    assert paired_p_value(np.array([0.0, 0.25, 0.0])) == 1.0
    assert paired_p_value(np.array([0.0, 1.0])) == 1.0
