"""Static fine-tuning, the other way to use the same labelled items: the closed loop's text model, trained once."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from meta_learning.clrs import OnlineTextModel
from meta_learning.errors import CallerError
from meta_learning.experiments.intervals import Floats
from meta_learning.experiments.predictions import Prediction, item_key, segment_of

EPOCHS_COUNT = 5
BATCH_COUNT = 50
Sample = Mapping[str, Any]


def fine_tuned(
    train: Sequence[Sample], test: Sequence[Sample], labels: Sequence[str], seed: int, segment_by: str | None = None
) -> list[Prediction]:
    """Predictions on ``test`` of a model that learnt, of each training item, which label is right and which are not.

    No language model takes part, so it costs no calls.

    Raises:
        CallerError: there is no closed set of labels.
    """
    if not labels:
        raise CallerError("fine-tuning needs a small closed set of expected answers")
    model, rng = OnlineTextModel(), random.Random(seed)
    for _ in range(EPOCHS_COUNT):
        order = list(train)
        rng.shuffle(order)
        for start in range(0, len(order), BATCH_COUNT):
            pairs = [(str(one["input"]), label) for one in order[start : start + BATCH_COUNT] for label in labels]
            right = [
                float(str(one["expected"]) == label) for one in order[start : start + BATCH_COUNT] for label in labels
            ]
            model.learn(pairs, np.array(right))
    scores = model.predict([(str(one["input"]), label) for one in test for label in labels]).reshape(len(test), -1)
    return [_predicted(one, row, labels, segment_by) for one, row in zip(test, scores, strict=True)]


def _predicted(sample: Sample, scores: Floats, labels: Sequence[str], segment_by: str | None) -> Prediction:
    best = int(np.argmax(scores))
    expected = str(sample["expected"])
    return Prediction(
        item=item_key(sample),
        expected=expected,
        answer=labels[best],
        score=float(labels[best] == expected),
        confidence=float(scores[best] / scores.sum()) if scores.sum() > 0 else None,
        segment=segment_of(sample, segment_by),
        cost_usd=0.0,
    )
