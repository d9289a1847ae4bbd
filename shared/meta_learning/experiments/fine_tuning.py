"""Static fine-tuning, the other way to use the same labelled items: a model of the closed loop, trained once.

``fine_tuning`` is its text model, ``lora`` the packaged language model with adapters (extra ``torch``).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meta_learning.clrs import OnlineTextModel
from meta_learning.clrs.models.port import Model
from meta_learning.datasets.groups import group_of
from meta_learning.errors import CallerError
from meta_learning.experiments.intervals import Floats
from meta_learning.experiments.predictions import Prediction, item_key, segment_of

BATCH_COUNT = 50
Sample = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Learner:
    """A fresh model, and how often it goes over the items."""

    model: Model
    epochs_count: int = 5


def learner_of(strategy: str, labels: Sequence[str], prompt: str = "") -> Learner:
    """The learner behind the name of an arm; ``prompt``: what a language model is asked, above the text.

    Raises:
        ConfigurationError: ``lora`` without the extra ``torch`` or the packaged weights.
    """
    if strategy != "lora":
        return Learner(OnlineTextModel())
    from meta_learning.clrs.models.language.adapter_trainer import TrainingSettings
    from meta_learning.clrs.models.language.language_model import LanguageModel, LanguageSettings
    from meta_learning.clrs.models.language.low_rank import AdapterShape

    # As plain text that ends where the answer stands: a small model knows labels better so than as a turn of a chat.
    instruction = prompt.replace("{input}", "the text") + "\n\nText: {input}\nAnswer:"
    training = TrainingSettings(AdapterShape(layers_count=10))  # the upper ones: half of the time, as good on tweets
    settings = LanguageSettings(instruction, chat=False, labels=tuple(labels), input_tokens_max=96, training=training)
    return Learner(LanguageModel(settings=settings), epochs_count=3)


def fine_tuned(
    train: Sequence[Sample],
    test: Sequence[Sample],
    labels: Sequence[str],
    seed: int,
    learner: Learner | None = None,
) -> list[Prediction]:
    """Predictions on ``test`` of a model that learnt, of each training item, which label is right and which are not.

    No language model is asked, so it costs no calls.

    Raises:
        CallerError: there is no closed set of labels.
    """
    if not labels:
        raise CallerError("fine-tuning needs a small closed set of expected answers")
    learner, rng = learner or learner_of("fine_tuning", labels), random.Random(seed)
    for _ in range(learner.epochs_count):
        order = list(train)
        rng.shuffle(order)
        for start in range(0, len(order), BATCH_COUNT):
            pairs = [(str(one["input"]), label) for one in order[start : start + BATCH_COUNT] for label in labels]
            right = [
                float(str(one["expected"]) == label) for one in order[start : start + BATCH_COUNT] for label in labels
            ]
            learner.model.learn(pairs, np.array(right))
    pairs = [(str(one["input"]), label) for one in test for label in labels]
    scores = np.asarray(learner.model.predict(pairs), dtype=np.float64).reshape(len(test), -1)
    return [_predicted(one, row, labels) for one, row in zip(test, scores, strict=True)]


def segmented(found: Sequence[Prediction], samples: Sequence[Sample], segment_by: str | None) -> list[Prediction]:
    """Predictions with the segments of their samples."""
    return [replace(one, segment=segment_of(sample, segment_by)) for one, sample in zip(found, samples, strict=True)]


def _predicted(sample: Sample, scores: Floats, labels: Sequence[str]) -> Prediction:
    best = int(np.argmax(scores))
    expected = str(sample["expected"])
    return Prediction(
        item=item_key(sample),
        expected=expected,
        answer=labels[best],
        score=float(labels[best] == expected),
        confidence=float(scores[best] / scores.sum()) if scores.sum() > 0 else None,
        cost_usd=0.0,
        group=group_of(sample),
    )
