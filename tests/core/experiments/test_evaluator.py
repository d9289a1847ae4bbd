"""Every number of an evaluation is what another library says it is, and its interval holds what it promises."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from meta_learning.experiments import Prediction, evaluate
from meta_learning.experiments.evaluator import UNREADABLE
from meta_learning.experiments.intervals import Estimate, mean, proportion
from meta_learning.experiments.predictions import labels_of

LABELS = ("a", "b", "c")


def drawn(count: int, seed: int, right: float = 0.6, sure: bool = True) -> list[Prediction]:
    rng = random.Random(seed)
    said = []
    for number in range(count):
        expected = rng.choice(LABELS)
        answer = expected if rng.random() < right else rng.choice(LABELS)
        said.append(
            Prediction(
                str(number),
                expected,
                answer,
                float(answer == expected),
                confidence=rng.uniform(0.4, 1),
                segment=expected,
            )
        )
    return said


def holds(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


def test_scores_are_those_of_scikit_learn() -> None:
    said = drawn(300, seed=1)
    report = evaluate(said, LABELS)
    expected, given = [one.expected for one in said], [one.answer for one in said]
    precision, recall, f1, _ = precision_recall_fscore_support(expected, given, average="macro", zero_division=0)
    assert report["macro_precision"]["value"] == pytest.approx(precision)
    assert report["macro_recall"]["value"] == pytest.approx(recall)
    assert report["macro_f1"]["value"] == pytest.approx(f1)
    assert report["confusion"]["matrix"] == confusion_matrix(expected, given, labels=LABELS).tolist()


def test_an_unreadable_answer_is_wrong_and_a_refused_one_is_missing() -> None:
    said = [
        Prediction("1", "a", "a", 1.0),
        Prediction("2", "a", None, 0.0),
        Prediction("3", "b", None, 0.0, refused="too long"),
    ]
    report = evaluate(said, ("a", "b"))
    assert report["accuracy"]["value"] == 0.5
    assert report["accuracy"]["count"] == 2
    assert report["unreadable"]["value"] == 0.5
    assert report["refused"]["value"] == pytest.approx(1 / 3)
    assert report["confusion"] == {
        "matrix": [[1, 0, 1], [0, 0, 0]],
        "labels": ["a", "b"],
        "answers": ["a", "b", UNREADABLE],
    }


def test_what_was_not_measured_is_none_and_never_zero() -> None:
    report = evaluate([Prediction("1", "free text", "x", 0.3)])
    assert report["cost_usd"]["value"] is None
    assert report["latency_s"]["value"] is None
    assert report["calibration"] is None
    assert report["confusion"] is None
    assert report["macro_f1"]["value"] is None
    assert evaluate([])["accuracy"] == {"value": None, "low": None, "high": None, "count": 0}


def test_segments_cost_and_latency_have_intervals() -> None:
    said = [
        Prediction(str(n), "a", "a", float(n % 2), segment="xy"[n % 2], cost_usd=0.01 * n, latency_s=1.0)
        for n in range(20)
    ]
    report = evaluate(said, ())
    assert report["segments"]["x"]["value"] == 0.0
    assert report["segments"]["y"]["low"] > 0.6
    assert report["cost_usd"]["low"] < report["cost_usd"]["value"] < report["cost_usd"]["high"]
    assert report["latency_s"]["value"] == 1.0


def test_a_model_that_means_what_it_says_has_a_small_calibration_error() -> None:
    rng = random.Random(3)
    honest = [
        Prediction(str(n), "a", "a", float(rng.random() < p), confidence=p)
        for n in range(1000)
        for p in [rng.uniform(0.5, 1)]
    ]
    boastful = [Prediction(one.item, "a", "a", one.score, confidence=0.99) for one in honest]
    good, bad = evaluate(honest)["calibration"], evaluate(boastful)["calibration"]
    assert good["error"] < 0.06
    assert bad["error"] > 0.2
    assert sum(one["count"] for one in good["bins"]) == 1000


def test_intervals_hold_the_truth_as_often_as_they_promise() -> None:
    rng = np.random.default_rng(5)
    shares = [proportion(int(rng.binomial(80, 0.7)), 80) for _ in range(300)]
    means = [mean(rng.beta(2, 1, size=80).tolist(), seed=n) for n in range(200)]
    assert 0.92 <= np.mean([holds(one, 0.7) for one in shares]) <= 0.98
    assert 0.90 <= np.mean([holds(one, 2 / 3) for one in means]) <= 0.98


def test_macro_f1_has_an_interval_that_holds_its_truth() -> None:
    truth = evaluate(drawn(20_000, seed=100, sure=False), LABELS)["macro_f1"]["value"]
    found = [evaluate(drawn(150, seed=n, sure=False), LABELS)["macro_f1"] for n in range(40)]
    assert np.mean([one["low"] <= truth <= one["high"] for one in found]) >= 0.85


def test_an_evaluation_is_the_same_twice() -> None:
    assert evaluate(drawn(50, seed=2), LABELS, seed=4) == evaluate(drawn(50, seed=2), LABELS, seed=4)


def test_free_text_has_no_labels() -> None:
    assert labels_of([{"expected": str(n)} for n in range(30)]) == ()
