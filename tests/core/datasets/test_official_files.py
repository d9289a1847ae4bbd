"""CommonsenseQA's JSON lines and Sentiment140's CSV: what is read, and which row is to blame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meta_learning.datasets import CommonsenseQALoader, Sentiment140Loader
from meta_learning.errors import CallerError, MalformedDataset, NotFound


def question(**changes: Any) -> dict[str, Any]:
    choices = [{"label": label, "text": text} for label, text in zip("ABC", ("hat", "hen", "hut"), strict=True)]
    return {"answerKey": "B", "id": "q1", "question": {"stem": "What lays eggs?", "choices": choices}, **changes}


def questions_file(folder: Path, *records: Any) -> Path:
    path = folder / "questions.jsonl"
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tweets_file(folder: Path, *rows: str, encoding: str = "latin-1") -> Path:
    path = folder / "tweets.csv"
    path.write_bytes("".join(row + "\n" for row in rows).encode(encoding))
    return path


def tweet(polarity: str = "4", text: str = "what a day") -> str:
    return f'"{polarity}","17","Mon Apr 06 22:19:45 PDT 2009","NO_QUERY","someone","{text}"'


def test_a_question_is_put_with_its_choices_one_a_line(tmp_path: Path) -> None:
    (sample,) = CommonsenseQALoader(questions_file(tmp_path, question())).get_samples(1)
    assert sample["input"] == "What lays eggs?\nA) hat\nB) hen\nC) hut"
    assert sample["expected"] == "B"
    assert sample["metadata"]["expected_text"] == "hen"
    assert sample["metadata"]["row"] == 1


BAD_QUESTIONS = {
    "is no valid JSON": '{"answerKey": "A", ',
    "has no 'question'": {"answerKey": "A"},
    "has no 'answerKey'; the test split": {"question": question()["question"]},
    "has no 'stem'": question(question={"choices": question()["question"]["choices"]}),
    "'stem' is empty": question(question={**question()["question"], "stem": " "}),
    "none of the choices A, B, C": question(answerKey="E"),
    "'choices' must be a list": question(question={"stem": "?", "choices": "A"}),
    "must hold objects": question(question={"stem": "?", "choices": ["hat", "hen"]}),
    "two choices have the label 'A'": question(question={"stem": "?", "choices": [{"label": "A", "text": "x"}] * 2}),
    "needs at least two": question(question={"stem": "?", "choices": [{"label": "A", "text": "x"}]}),
    "'answerKey' must be a str, not a int": question(answerKey=1),
    "is a JSON list, not an object": [1, 2],
}


@pytest.mark.parametrize("complaint", BAD_QUESTIONS)
def test_a_bad_question_is_named_by_its_row(tmp_path: Path, complaint: str) -> None:
    path = questions_file(tmp_path, question(), "", question(), BAD_QUESTIONS[complaint])
    with pytest.raises(MalformedDataset, match="row 4: ") as caught:
        CommonsenseQALoader(path).get_samples(1)
    assert complaint in str(caught.value)
    assert caught.value.row == 4


def test_labels_are_words_and_neutral_tweets_are_skipped_or_kept(tmp_path: Path) -> None:
    path = tweets_file(
        tmp_path, tweet("0", 'caf\xe9 closed, and it said ""never""'), tweet("2"), tweet("4", "yay, cake")
    )
    found = {sample["input"]: sample["expected"] for sample in Sentiment140Loader(path).get_samples(2)}
    assert found == {'café closed, and it said "never"': "negative", "yay, cake": "positive"}
    kept = Sentiment140Loader(path, neutral="keep").get_samples(3)
    assert sorted(sample["expected"] for sample in kept) == ["negative", "neutral", "positive"]


def test_an_unknown_wish_for_neutral_tweets_is_the_callers_mistake() -> None:
    with pytest.raises(CallerError, match="'skip' or 'keep'"):
        Sentiment140Loader(neutral="drop")  # type: ignore[arg-type]


def test_a_file_sorted_by_class_is_drawn_in_mixed_order(tmp_path: Path) -> None:
    path = tweets_file(tmp_path, *[tweet("0")] * 100, *[tweet("4")] * 100)
    drawn = [sample["expected"] for sample in Sentiment140Loader(path).get_samples(50)]
    assert 10 <= drawn.count("positive") <= 40


BAD_TWEETS = {
    "has 5 columns, not the 6": '"4","1","date","NO_QUERY","text"',
    "the polarity is '3'": tweet("3"),
    "the polarity is 'target'": tweet("target"),
    "the text is empty": tweet("0", " "),
    "is no valid CSV": '"4","1","date","NO_QUERY","someone","never closed',
}


@pytest.mark.parametrize("complaint", BAD_TWEETS)
def test_a_bad_tweet_is_named_by_its_row(tmp_path: Path, complaint: str) -> None:
    path = tweets_file(tmp_path, tweet("0"), tweet("4"), BAD_TWEETS[complaint])
    with pytest.raises(MalformedDataset, match="row 3: ") as caught:
        Sentiment140Loader(path).get_samples(1)
    assert complaint in str(caught.value)


def test_a_utf_16_export_is_recognised_as_such(tmp_path: Path) -> None:
    with pytest.raises(MalformedDataset, match="row 1: holds a NUL character"):
        Sentiment140Loader(tweets_file(tmp_path, tweet(), encoding="utf-16")).get_samples(1)


@pytest.mark.parametrize("loader", [CommonsenseQALoader, Sentiment140Loader])
def test_an_empty_and_a_missing_file_say_so(
    tmp_path: Path, loader: type[CommonsenseQALoader] | type[Sentiment140Loader]
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(MalformedDataset, match="empty: it holds no"):
        loader(empty).get_samples(1)
    missing = loader(tmp_path / "missing")
    with pytest.raises(NotFound, match="check the path, or leave it out to use a bundled sample"):
        missing.get_samples(1)
    with pytest.raises(CallerError, match="cannot be read: Is a directory"):
        loader(tmp_path).get_samples(1)
