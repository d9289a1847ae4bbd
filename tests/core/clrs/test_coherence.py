"""Coherence: alike questions get alike scores. A collapsed application shows in the diversity, not in the coherence."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from meta_learning.clrs import CoherenceAnalyzer
from meta_learning.clrs.models.port import Floats, Pair

TOPICS = [
    "parcel late delivery courier",
    "invoice wrong amount refund",
    "password reset login locked",
    "praise thanks lovely staff",
]


def batch(draws: np.random.Generator, count: int = 100) -> tuple[list[Pair], Floats, Floats]:
    """Pairs of four topics, the topic of each, and a score that depends on the topic only."""
    topic = draws.integers(4, size=count)
    pairs = [
        (" ".join(draws.permutation(TOPICS[index].split())[:3]), f"answer {draws.integers(50)}") for index in topic
    ]
    return pairs, topic.astype(float), topic / 4 + 0.05 * draws.random(count)


def test_scores_that_follow_the_topic_are_coherent_and_shuffled_ones_are_not() -> None:
    draws = np.random.default_rng(0)
    coherent, shuffled = CoherenceAnalyzer(), CoherenceAnalyzer()
    for _ in range(5):
        pairs, _, scores = batch(draws)
        coherent.update(pairs, scores)
        shuffled.update(pairs, draws.permutation(scores))
    high, low = coherent.score(), shuffled.score()
    assert high is not None
    assert low is not None
    assert high > 0.9
    assert low < 0.3
    assert shuffled.result()["neighbours"] < 0.08


def test_negative_flips_between_champions_lower_the_score() -> None:
    draws = np.random.default_rng(1)
    steady, fickle = CoherenceAnalyzer(), CoherenceAnalyzer()
    truth = np.tile([0.0, 1.0], 50)
    for step in range(6):
        pairs, _, scores = batch(draws)
        steady.update(pairs, scores, truth * 0.8 + 0.1, truth)
        fickle.update(pairs, scores, truth * 0.8 + 0.1 if step % 2 else np.full(100, 0.9), truth)
    assert steady.result()["negative_flip_rate"] == 0.0
    assert fickle.result()["negative_flip_rate"] > 0.15
    assert (fickle.score() or 0) < (steady.score() or 0)


def test_it_is_none_for_few_events_and_for_a_model_that_says_the_same_to_all() -> None:
    analyzer = CoherenceAnalyzer()
    assert analyzer.score() is None
    pairs, _, scores = batch(np.random.default_rng(0), 40)
    analyzer.update(pairs, scores)
    assert analyzer.score() is None
    constant = CoherenceAnalyzer()
    for _ in range(5):
        constant.update(pairs, np.full(40, 0.7))
    assert constant.score() is None


def test_diversity_falls_when_the_outputs_repeat_a_template() -> None:
    draws = np.random.default_rng(2)
    varied, collapsed = CoherenceAnalyzer(), CoherenceAnalyzer()
    words = [f"word{n}" for n in range(500)]
    varied.update([("q", " ".join(draws.choice(words, 8))) for _ in range(100)])
    collapsed.update([("q", "thank you for your message we will answer soon") for _ in range(100)])
    for name in ("distinct_2", "zlib_ratio"):
        assert collapsed.result()["diversity"][name] < 0.5 * varied.result()["diversity"][name]


def test_an_analyzer_restored_from_its_state_goes_on_alike() -> None:
    draws, analyzer = np.random.default_rng(3), CoherenceAnalyzer()
    for _ in range(12):
        pairs, topic, scores = batch(draws)
        again = CoherenceAnalyzer.from_state(analyzer.state())
        for part in (analyzer, again):
            part.update(pairs, scores, scores, (topic > 1).astype(float), {"case": scores[:9].tolist()})
        assert again.result() == analyzer.result()


def test_the_pairs_of_a_large_batch_are_never_all_in_memory_at_once() -> None:
    pairs, _, scores = batch(np.random.default_rng(0), count=2000)
    analyzer = CoherenceAnalyzer()
    tracemalloc.start()
    try:
        analyzer.update(pairs, scores)
        peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert (analyzer.score() or 0.0) > 0.7
    assert peak_mib < 48  # the three matrices of all pairs have 92


def test_answers_that_change_with_a_typo_lower_the_score_and_are_told_by_perturbation() -> None:
    draws = np.random.default_rng(4)
    steady, nervous, unasked = CoherenceAnalyzer(), CoherenceAnalyzer(), CoherenceAnalyzer()
    truth = np.tile([0.1, 0.9], 50)
    for _ in range(5):
        pairs, _, scores = batch(draws)
        steady.update(pairs, scores, truth, truth, {"typos": truth[:40].tolist(), "case": truth[:40].tolist()})
        nervous.update(pairs, scores, truth, truth, {"typos": (1 - truth[:40]).tolist(), "case": truth[:40].tolist()})
        unasked.update(pairs, scores, truth, truth)
    assert steady.result()["perturbations"] == 1.0
    assert nervous.result()["by_perturbation"] == {"typos": 0.0, "case": 1.0}
    assert nervous.result()["perturbations"] == 0.5
    assert unasked.result()["perturbations"] is None
    scores_of = [analyzer.score() or 0.0 for analyzer in (nervous, unasked, steady)]
    assert scores_of[0] < scores_of[1] <= scores_of[2]


def test_the_interval_holds_the_score_and_narrows_with_more_probe_answers() -> None:
    widths = []
    for size in (20, 200):
        analyzer, draws = CoherenceAnalyzer(), np.random.default_rng(5)
        truth = np.tile([0.1, 0.9], size // 2)
        for _ in range(5):
            pairs, _, scores = batch(draws)
            analyzer.update(pairs, scores, truth, truth, {"typos": truth.tolist()})
        found = analyzer.result()
        assert found["low"] < found["current"] <= found["high"]
        widths.append(found["high"] - found["low"])
    assert widths[1] < widths[0]


def test_vendi_counts_how_many_different_things_are_said() -> None:
    analyzer = CoherenceAnalyzer()
    for kinds in (1, 5, 50):
        analyzer.update([("q", f"unique{n % kinds}") for n in range(100)])
        assert (analyzer.diversity["vendi"] or 0) * 50 == pytest.approx(kinds, abs=0.01)
