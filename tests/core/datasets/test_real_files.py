"""The official files as they are published, where they lie on this machine (`META_LEARNING_DATA_SETS`)."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from meta_learning.datasets import CommonsenseQALoader, Sentiment140Loader, TabularLoader, label_feedback, read_feedback

REPOSITORY = Path(__file__).resolve().parents[3]
FOLDER = REPOSITORY / os.environ.get("META_LEARNING_DATA_SETS", "../shared/data")


def real(name: str) -> Path:
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"{name} is not among the data sets in {FOLDER}; set META_LEARNING_DATA_SETS")
    return path


def test_commonsense_qas_training_file_is_read_whole() -> None:
    loader = CommonsenseQALoader(real("csqa_train_rand_split.jsonl"))
    samples = loader.get_samples(len(loader))
    assert len(samples) == 9_741
    assert set(Counter(sample["expected"] for sample in samples)) == set("ABCDE")


def test_sentiment140s_rows_are_read_and_mixed() -> None:
    loader = Sentiment140Loader(real("sentiment140_train_20k_head_tail.csv"))
    assert len(loader) == 20_000
    first = Counter(sample["expected"] for sample in loader.get_samples(1_000))
    assert 400 < first["positive"] < 600


def test_sentiment140_becomes_feedback_half_right_and_half_wrong() -> None:
    path = real("sentiment140_train_20k_head_tail.csv")
    rows = list(read_feedback(path))
    counts = Counter((row.output_text, row.feedback_score) for row in rows)
    assert len(rows) == 20_000
    assert all(4_990 < count < 5_010 for count in counts.values())


def test_human_scored_translations_are_feedback_from_0_to_100() -> None:
    rows = read_feedback(real("mlqe_pe_ru-en_train.tsv.gz"))
    assert (rows.rows_count, rows.scale.low, rows.scale.high) == (7_000, 0, 100)
    found = list(rows)
    assert len(found) == 7_000
    assert found[0].feedback_score == pytest.approx(0.8633333)
    assert any('"' in row.input_text for row in found)


def test_a_spam_collection_is_a_table_and_becomes_feedback() -> None:
    loader = TabularLoader(real("sms_spam_collection.tsv"), input="SMS", expected="Label")
    assert len(loader) == 5_574
    rows = list(label_feedback(loader.get_samples(len(loader)), seed=1))
    assert sum(row.feedback_score for row in rows) == pytest.approx(2_787, abs=2)
