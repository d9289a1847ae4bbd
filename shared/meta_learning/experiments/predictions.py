"""What a classifier said about items: the one form that prompts and trained models are judged in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meta_learning.acla.parsing import normalised
from meta_learning.datasets.spelling import usual_spellings

LABELS_COUNT_MAX = 12
LABEL_CHARS_MAX = 40


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer. ``answer`` is None where it could not be read, and ``refused`` says why there was none at all.

    ``score`` in [0, 1] is 1 for right and 0 for wrong, or what an ``evaluation_fn`` said. ``confidence`` is the probability
    that the classifier itself gave to its answer, where it gives one. ``group``: `datasets.groups.group_of` of the item.
    """

    item: str
    expected: str
    answer: str | None
    score: float
    confidence: float | None = None
    segment: str = ""
    tokens: int = 0
    cost_usd: float | None = None
    latency_s: float | None = None
    refused: str | None = None
    group: str | None = None


def item_key(sample: Mapping[str, Any]) -> str:
    """The digest of an input, whatever its case and spacing: equal inputs are one item, in every arm and seed."""
    return hashlib.sha256(normalised(str(sample["input"])).encode("utf-8", errors="replace")).hexdigest()[:24]


def labels_of(samples: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The expected answers, sorted, if they are a small closed set; else nothing. Spellings of one answer are one.

    >>> labels_of([{"expected": "yes"}, {"expected": "no"}, {"expected": "yes"}])
    ('no', 'yes')
    """
    labels = sorted(usual_spellings(str(sample["expected"]) for sample in samples).values())
    few = 2 <= len(labels) <= min(LABELS_COUNT_MAX, max(2, len(samples) // 3))
    return tuple(labels) if few and all(0 < len(label) <= LABEL_CHARS_MAX for label in labels) else ()


def segment_of(sample: Mapping[str, Any], field: str | None) -> str:
    """The value of the metadata field that segments are made by; empty where there is none."""
    return "" if field is None else str((sample.get("metadata") or {}).get(field, ""))
