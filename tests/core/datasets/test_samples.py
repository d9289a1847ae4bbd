"""The bundled samples: enough of everything, nothing twice, and feedback that a simple learner can learn."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import hstack, vstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from meta_learning.datasets import load, read_feedback
from meta_learning.datasets.samples import COMMONSENSE_QA_SAMPLE, FEEDBACK_SAMPLE, SENTIMENT_SAMPLE
from meta_learning.events import FeedbackReceived, parse_time
from tools.samples.make_samples import write_samples

NEAR_DUPLICATE = 0.5  # share of common words; the nearest two of either sample have 0.36


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


def texts(name: str) -> list[str]:
    loader = load(name)
    samples = loader.get_samples(len(loader))
    return [sample["metadata"].get("question", sample["input"]) for sample in samples]


@pytest.mark.parametrize("name", ["commonsense_qa", "sentiment140"])
def test_there_are_two_hundred_items_with_even_answers(name: str) -> None:
    loader = load(name)
    counts = Counter(sample["expected"] for sample in loader.get_samples(len(loader)))
    assert counts.total() >= 200
    assert max(counts.values()) - min(counts.values()) <= 1
    assert set(counts) == (set("ABCDE") if name == "commonsense_qa" else {"positive", "negative"})


@pytest.mark.parametrize("name", ["commonsense_qa", "sentiment140"])
def test_no_two_items_say_nearly_the_same(name: str) -> None:
    pairs = combinations([words(text) for text in texts(name)], 2)
    assert max(len(one & other) / len(one | other) for one, other in pairs) < NEAR_DUPLICATE


def test_questions_have_five_different_choices_and_length_does_not_give_the_answer_away() -> None:
    loader = load("commonsense_qa")
    samples = loader.get_samples(len(loader))
    choices = [sample["metadata"]["choices"] for sample in samples]
    assert all(list(each) == list("ABCDE") and len(set(each.values())) == 5 for each in choices)
    for extreme in (min, max):
        guesses = [extreme(each, key=lambda label: len(each[label])) for each in choices]
        hits = sum(guess == sample["expected"] for guess, sample in zip(guesses, samples, strict=True))
        assert hits / len(samples) < 0.3


def test_messages_name_nobody_and_both_classes_share_the_days() -> None:
    content = SENTIMENT_SAMPLE.read_text(encoding="latin-1")
    assert not re.search(r"@\w", content)
    assert set(re.findall(r'"NO_QUERY","(\w+?)_\d+"', content)) == {"sample_user"}
    loader = load("sentiment140")
    rows: dict[str, list[int]] = {"positive": [], "negative": []}
    for sample in loader.get_samples(len(loader)):
        rows[sample["expected"]].append(sample["metadata"]["row"])
    assert abs(np.median(rows["positive"]) - np.median(rows["negative"])) < 30


def test_the_feedback_sample_has_varied_events_that_the_door_would_accept() -> None:
    rows = list(read_feedback(FEEDBACK_SAMPLE))
    assert len(rows) >= 2_000
    assert FEEDBACK_SAMPLE.stat().st_size < 1_500_000
    assert len({row.input_text for row in rows}) / len(rows) > 0.8
    assert len({(row.input_text, row.output_text) for row in rows}) == len(rows)
    assert len({row.user_id for row in rows}) >= 40
    for row in rows:
        FeedbackReceived(
            event_id=f"row-{row.row}", occurred_at=parse_time("2026-01-01T00:00:00Z"), loop="demo", user_id=row.user_id,
            input_text=row.input_text, output_text=row.output_text, feedback_score=row.feedback_score, metadata=row.metadata,
        )  # fmt: skip


def test_feedback_scores_spread_over_the_whole_scale_and_users_differ() -> None:
    rows = list(read_feedback(FEEDBACK_SAMPLE))
    scores = np.array([row.feedback_score for row in rows])
    assert 0.4 < scores.mean() < 0.65
    fifths, _ = np.histogram(scores, bins=5, range=(0, 1))
    assert fifths.min() / len(rows) > 0.07
    by_user: dict[str | None, list[float]] = {}
    for row in rows:
        by_user.setdefault(row.user_id, []).append(row.feedback_score)
    means = [float(np.mean(each)) for each in by_user.values() if len(each) >= 30]
    assert max(means) - min(means) > 0.15
    assert any(set(each) <= {0.0, 1.0} for each in by_user.values() if len(each) >= 20)
    assert any(set(each) <= {0.0, 0.25, 0.5, 0.75, 1.0} and 0.5 in each for each in by_user.values() if len(each) >= 20)


@pytest.mark.parametrize(("trained_count", "error_share_max"), [(200, 0.9), (1_000, 0.75)])
def test_a_simple_learner_beats_the_constant_predictor(trained_count: int, error_share_max: float) -> None:
    rows = list(read_feedback(FEEDBACK_SAMPLE))
    scores = np.array([row.feedback_score for row in rows])
    hashed = HashingVectorizer(ngram_range=(1, 2), n_features=2**16)
    features = hstack(
        [hashed.transform([getattr(row, name) for row in rows]) for name in ("input_text", "output_text")]
    ).tocsr()
    known, soft = features[:trained_count], scores[:trained_count]
    learner = SGDClassifier(loss="log_loss", alpha=1e-3, random_state=0)
    labels = np.repeat([1, 0], trained_count)
    learner.fit(vstack([known, known]), labels, sample_weight=np.concatenate([soft, 1 - soft]))
    rest = scores[trained_count:]
    error = np.mean((learner.predict_proba(features[trained_count:])[:, 1] - rest) ** 2)
    assert error < error_share_max * np.mean((soft.mean() - rest) ** 2)


def test_metadata_does_not_tell_the_score() -> None:
    records = [json.loads(line) for line in FEEDBACK_SAMPLE.read_text(encoding="utf-8").splitlines()]
    by_application: dict[str, list[float]] = {}
    for record in records:
        assert set(record["metadata"]) == {"application", "channel"}
        by_application.setdefault(record["metadata"]["application"], []).append(record["feedback_score"])
    means = [float(np.mean(each)) for each in by_application.values()]
    assert len(means) == 4
    assert max(means) - min(means) < 0.1


def test_the_generator_writes_the_same_bytes_again(tmp_path: Path) -> None:
    write_samples(tmp_path)
    for shipped in (COMMONSENSE_QA_SAMPLE, SENTIMENT_SAMPLE, FEEDBACK_SAMPLE):
        assert (tmp_path / shipped.name).read_bytes() == shipped.read_bytes()
