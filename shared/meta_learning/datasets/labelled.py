"""Feedback out of labelled data: a known answer turns into events that a user who knows it would send."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from meta_learning.datasets.base import Sample
from meta_learning.datasets.feedback_row import FeedbackRow
from meta_learning.errors import CallerError


def label_feedback(samples: Iterable[Sample], seed: int = 0) -> Iterator[FeedbackRow]:
    """One event a sample, in the order given: half show the right label and score 1, half a wrong one and score 0.

    Within each class right and wrong are as even as can be, so the shown label alone tells nothing about the score.

    >>> from meta_learning.datasets.sentiment140 import Sentiment140Loader
    >>> rows = list(label_feedback(Sentiment140Loader().get_samples(100), seed=1))
    >>> sum(row.feedback_score for row in rows) in (49, 50, 51)
    True

    Raises:
        CallerError: there are fewer than two labels, so no label is wrong.
    """
    samples = list(samples)
    labels = sorted({str(sample["expected"]) for sample in samples})
    if len(labels) < 2:
        raise CallerError(f"feedback on labels needs two or more of them, and these samples have {labels}")
    draw = random.Random(seed)
    rights = {label: _even_flags(sum(sample["expected"] == label for sample in samples), draw) for label in labels}
    for number, sample in enumerate(samples, start=1):
        yield _row(sample, number, labels, right=next(rights[str(sample["expected"])]), draw=draw)


def _even_flags(count: int, draw: random.Random) -> Iterator[bool]:
    """``count`` flags in random order, half of them True (where odd, a coin decides about the last)."""
    flags = [index % 2 == 0 for index in range(count)]
    if count % 2 and draw.random() < 0.5:
        flags[-1] = False
    keyed = sorted((draw.random(), flag) for flag in flags)
    return iter([flag for _, flag in keyed])


def _row(sample: Sample, number: int, labels: list[str], *, right: bool, draw: random.Random) -> FeedbackRow:
    expected = str(sample["expected"])
    others = [label for label in labels if label != expected]
    shown = expected if right else others[int(draw.random() * len(others))]
    return FeedbackRow(
        row=int(sample["metadata"].get("row", number)),
        input_text=str(sample["input"]),
        output_text=shown,
        feedback_score=float(right),
    )
