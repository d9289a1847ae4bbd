"""CommonsenseQA (Talmor et al. 2019): everyday questions with five choices, the official JSON lines.

>>> loader = CommonsenseQALoader()
>>> sample = loader.get_samples(1)[0]
>>> sample["expected"] in "ABCDE"
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from meta_learning.datasets.base import BaseDatasetLoader, Sample
from meta_learning.datasets.groups import grouped
from meta_learning.datasets.rows import naming, read_objects
from meta_learning.datasets.samples import COMMONSENSE_QA_SAMPLE
from meta_learning.errors import CallerError, MalformedDataset


@dataclass(frozen=True, slots=True)
class Question:
    """One question as the file states it; ``choices`` runs from label to text, in the file's order."""

    row: int
    question_id: str
    concept: str
    stem: str
    choices: dict[str, str]
    answer: str


class CommonsenseQALoader(BaseDatasetLoader):
    """The questions of an official file (``train_rand_split.jsonl``, ``dev_rand_split.jsonl``), or of the bundled sample.

    The input holds the question and its choices, one a line; expected is the letter of the right one.
    ``group="concept"``: questions made from one source concept belong together (the paper's "question concept split").
    """

    name: ClassVar[str] = "commonsense_qa"

    def __init__(self, path: str | Path | None = None, *, group: str | None = None) -> None:
        if group not in (None, "concept"):
            raise CallerError(f"{self.name}: the group can be 'concept', not {group!r}")
        self.path = COMMONSENSE_QA_SAMPLE if path is None else Path(path)
        self.group = group

    def load_data(self) -> Sequence[Question]:
        """Read and check every question.

        Raises:
            NotFound: there is no such file.
            MalformedDataset: a line is no JSON, a key is missing, or the answer is none of the choices.
        """
        with naming(self.path):
            questions = [_question(record, row) for row, record in read_objects(self.path)]
        if not questions:
            raise MalformedDataset(f"{self.path.name} is empty: it holds no question")
        return questions

    def format_sample(self, sample: Question) -> Sample:
        """One question as it is put to a model."""
        lines = [sample.stem, *(f"{label}) {text}" for label, text in sample.choices.items())]
        found = {
            "input": "\n".join(lines),
            "expected": sample.answer,
            "metadata": {
                "id": sample.question_id,
                "row": sample.row,
                "question": sample.stem,
                "choices": dict(sample.choices),
                "expected_text": sample.choices[sample.answer],
                "concept": sample.concept,
            },
        }
        return found if self.group is None else grouped(found, sample.concept, sample.row)


def _question(record: dict[str, Any], row: int) -> Question:
    body = _take(record, "question", dict, row)
    choices = _choices(_take(body, "choices", list, row), row)
    if "answerKey" not in record:
        raise MalformedDataset(
            "has no 'answerKey'; the test split is published without answers, take train or dev", row=row
        )
    answer = _take(record, "answerKey", str, row)
    if answer not in choices:
        raise MalformedDataset(f"'answerKey' is {answer!r}, which is none of the choices {', '.join(choices)}", row=row)
    return Question(
        row=row,
        question_id=str(record.get("id", row)),
        concept=str(body.get("question_concept", "")),
        stem=_text(body, "stem", row),
        choices=choices,
        answer=answer,
    )


def _choices(listed: list[Any], row: int) -> dict[str, str]:
    choices: dict[str, str] = {}
    for choice in listed:
        if not isinstance(choice, dict):
            raise MalformedDataset("'choices' must hold objects with 'label' and 'text'", row=row)
        label = _text(choice, "label", row)
        if label in choices:
            raise MalformedDataset(f"two choices have the label {label!r}", row=row)
        choices[label] = _text(choice, "text", row)
    if len(choices) < 2:
        raise MalformedDataset(f"has {len(choices)} choices; a question needs at least two", row=row)
    return choices


def _text(record: dict[str, Any], key: str, row: int) -> str:
    text: str = _take(record, key, str, row)
    if not text.strip():
        raise MalformedDataset(f"{key!r} is empty", row=row)
    return text


def _take(record: dict[str, Any], key: str, kind: type, row: int) -> Any:
    if key not in record:
        raise MalformedDataset(f"has no {key!r}", row=row)
    if not isinstance(record[key], kind):
        raise MalformedDataset(f"{key!r} must be a {kind.__name__}, not a {type(record[key]).__name__}", row=row)
    return record[key]
