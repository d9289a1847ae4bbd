"""Alignment tells a model that orders as users do from one that does not, one that reverses, and one that says nothing."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from meta_learning.clrs import AlignmentScorer
from meta_learning.clrs.alignment.comparison import Tally, tally
from meta_learning.clrs.alignment.confidence_sequence import interval, spent
from meta_learning.clrs.alignment.window import Window
from meta_learning.clrs.statistics import concordance

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


def scored(batches: int, seed: int, noise: float) -> AlignmentScorer:
    draws, scorer = np.random.default_rng(seed), AlignmentScorer()
    for _ in range(batches):
        true = draws.random(100)
        scorer.update(np.clip(true + noise * draws.normal(size=100), 0, 1), true)
    return scorer


def test_a_perfect_model_is_aligned() -> None:
    result = scored(3, 0, 0.0).result()
    assert (result["current"], result["state"], result["inverted"]) == (1.0, "aligned", False)


def test_a_reversed_model_is_misaligned_and_called_inverted() -> None:
    draws, scorer = np.random.default_rng(0), AlignmentScorer()
    for _ in range(3):
        true = draws.random(100)
        scorer.update(1.0 - true, true)
    result = scorer.result()
    assert (result["current"], result["state"], result["inverted"]) == (0.0, "misaligned", True)


def test_a_constant_model_has_no_alignment_however_small_its_error() -> None:
    scorer = AlignmentScorer()
    for _ in range(5):
        scorer.update(np.full(100, 0.93), np.random.default_rng(0).normal(0.93, 0.02, 100).clip(0, 1))
    result = scorer.result()
    assert (result["current"], result["state"]) == (None, "undecided")


def test_random_predictions_score_near_zero() -> None:
    draws, scorer = np.random.default_rng(0), AlignmentScorer()
    for _ in range(10):
        scorer.update(draws.random(100), draws.random(100))
    current = scorer.score()
    assert current is not None
    assert current < 0.1


def test_too_few_events_are_undecided_and_none() -> None:
    scorer = AlignmentScorer()
    scorer.update(np.array([0.1, 0.9]), np.array([0.0, 1.0]))
    assert (scorer.score(), scorer.result()["state"], scorer.result()["n"]) == (None, "undecided", 2)


def test_a_human_ceiling_makes_the_same_concordance_count_for_more() -> None:
    plain = scored(5, 1, 0.3)
    first, second = plain.score(), AlignmentScorer.from_state(plain.state(), ceiling=0.85).score()
    assert first is not None
    assert second is not None
    assert second > first


def test_the_interval_covers_the_truth_at_every_look_of_nearly_all_streams() -> None:
    """Looked at after each of 30 batches of 25: a 95 % interval for one look would miss in a third of the streams.

    `benchmarks/monitor/alignment_coverage.py` has more kinds of streams and more looks.
    """
    truth = np.mean([tally(*pair_of(np.random.default_rng([99, part]), 1000)).value for part in range(40)])
    streams, missed = 500, 0
    for seed in range(streams):
        draws, window, inside = np.random.default_rng(seed), Window(10), True
        for _ in range(30):
            window.fold(25, tally(*pair_of(draws, 25)), Tally(), {})
            found = window.current.everyone
            if found.effective >= 50:
                low, high = interval(found, spent(window.current.number))
                inside &= bool(low <= truth <= high)
        missed += not inside
    assert missed <= 0.05 * streams


def pair_of(draws: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    true = draws.integers(2, size=count).astype(float)
    return np.clip(0.3 * true + 0.35 + 0.25 * draws.normal(size=count), 0, 1), true


def test_concordance_of_binary_feedback_is_the_area_under_the_curve() -> None:
    predicted, true = pair_of(np.random.default_rng(5), 300)
    found = concordance(np.round(predicted, 1), true)
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(true, np.round(predicted, 1)))


def test_the_variance_of_concordance_is_that_of_repeated_draws() -> None:
    draws = np.random.default_rng(6)
    found = [concordance(*pair_of(draws, 100)) for _ in range(300)]
    values = [part.value for part in found if part]
    assert np.mean([part.variance for part in found if part]) == pytest.approx(np.var(values), rel=0.25)


def test_a_scorer_restored_from_its_state_says_the_same() -> None:
    scorer = scored(12, 2, 0.2)
    assert AlignmentScorer.from_state(scorer.state()).result() == scorer.result()


def test_the_pairs_of_a_large_cycle_are_never_all_in_memory_at_once() -> None:
    draws = np.random.default_rng(0)
    predicted, true = draws.random(4000), draws.integers(2, size=4000).astype(float)
    tracemalloc.start()
    try:
        found = concordance(predicted, true)
        peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(true, predicted))
    assert peak_mib < 64  # one matrix of all pairs alone has 122
