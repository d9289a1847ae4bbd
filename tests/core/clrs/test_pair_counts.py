"""Counting pairs by sorting says what looking at all pairs says."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from meta_learning.clrs.coherence.neighbours import ASKED_MAX, neighbour_agreement
from meta_learning.clrs.coherence.words import HashedPairs, weighted
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.pair_counts import MATRIX_MAX, PairCounts, Places


def one_by_one(predicted: Floats, true: Floats, weights: Floats, groups: Places) -> Floats:
    """The same three counts, pair by pair."""
    found = np.zeros((3, len(true)))
    for at in range(len(true)):
        others = (groups == groups[at]) & (groups >= 0) & (true != true[at])
        alike = others & (predicted == predicted[at])
        ordered = others & ((predicted > predicted[at]) == (true > true[at])) & ~alike
        found[:, at] = weights[ordered].sum() + weights[alike].sum() / 2, weights[others].sum(), weights[alike].sum()
    return found


@pytest.mark.parametrize("size", [1, 40, MATRIX_MAX, MATRIX_MAX + 1, 500])
@pytest.mark.parametrize(("steps", "guesses"), [(1, 3), (2, 5), (5, 10_000), (10_000, 10_000)])
def test_the_counts_are_those_of_all_pairs(size: int, steps: int, guesses: int) -> None:
    draws = np.random.default_rng([size, steps])
    predicted, true = draws.integers(guesses, size=size) / guesses, draws.integers(steps, size=size) / steps
    weights, groups = draws.choice([1.0, 2.0, 0.3], size), draws.integers(-1, 4, size=size)
    counts = PairCounts.of(predicted, true, weights, groups)
    found = np.stack([counts.agree, counts.differ, counts.tied])
    assert found == pytest.approx(one_by_one(predicted, true, weights, groups))
    if steps == 1:
        assert found.max() == 0.0  # also not by rounding: nobody has a partner


def test_ten_thousand_events_are_counted_exactly() -> None:
    draws = np.random.default_rng(0)
    predicted, true = draws.random(10_000).round(3), draws.integers(2, size=10_000).astype(float)
    counts = PairCounts.of(predicted, true)
    assert counts.agree.sum() / counts.differ.sum() == pytest.approx(roc_auc_score(true, predicted), abs=1e-12)
    assert counts.differ.tolist() == np.where(true == 1, (true == 0).sum(), (true == 1).sum()).tolist()


def test_of_ten_thousand_events_a_thousand_are_asked_for_their_neighbours() -> None:
    draws = np.random.default_rng(0)
    topics = draws.integers(50, size=10_000)
    hashed = HashedPairs.of([(f"topic{topic}", "yes") for topic in topics.tolist()])
    scores = np.clip(topics / 50 + 0.1 * draws.normal(size=10_000), 0, 1)
    found = neighbour_agreement([weighted(hashed.inputs), weighted(hashed.outputs)], scores)
    assert found is not None
    assert found.count == ASKED_MAX
    assert found.mean == pytest.approx(0.66, abs=0.06)  # 1 - (2 / sqrt(pi) * .1) / (1 / 3)
    assert neighbour_agreement([weighted(hashed.inputs)], scores) == neighbour_agreement(
        [weighted(hashed.inputs)], scores
    )
