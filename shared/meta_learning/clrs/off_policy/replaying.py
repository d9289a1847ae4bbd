"""Judging a version and a policy on a loop's own feedback: the candidates of each choice are scored again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from meta_learning.clrs.acting.choosing import probabilities_of
from meta_learning.clrs.acting.policies import Greedy, Policy
from meta_learning.clrs.acting.record import shown_of
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.off_policy.estimators import Method, OffPolicyEstimate, estimate
from meta_learning.clrs.off_policy.logged import Logged
from meta_learning.events import FeedbackReceived

BLOCK_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Replayed:
    """The usable choices, and how many events were none: no propensity, no candidates, or feedback that nobody asked for."""

    logged: Logged
    left_out: int


def what_if(
    events: Iterable[FeedbackReceived],
    model: Model,
    policy: Policy | None = None,
    method: Method = "dr",
    learnt_count: int = 0,
) -> OffPolicyEstimate:
    """What ``model`` under ``policy`` (default: the best candidate, always) would have earned on these events.

    The model must not have learnt from them: it would remember the answers, and the estimate would flatter it. Judge a version
    on what came in after it was made.
    """
    return estimate(replayed(events, model, policy or Greedy(), learnt_count).logged, method)


def replayed(events: Iterable[FeedbackReceived], model: Model, policy: Policy, learnt_count: int = 0) -> Replayed:
    """Score the candidates of every usable event with ``model`` and ask ``policy`` for their probabilities."""
    rows: list[tuple[float, ...]] = []
    left_out, block = 0, list[FeedbackReceived]()
    for event in events:
        if not usable(event):
            left_out += 1
            continue
        block.append(event)
        if len(block) == BLOCK_EVENTS:
            rows += _judged(block, model, policy, learnt_count)
            block = []
    rows += _judged(block, model, policy, learnt_count)
    columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    return Replayed(Logged(*(np.ascontiguousarray(column) for column in columns)), left_out)


def usable(event: FeedbackReceived) -> bool:
    """Whether the event says how likely its answer was, beside which others, and was asked for if asking was decided."""
    shown = shown_of(event)
    listed = shown.candidates is not None and event.output_text in shown.candidates
    return event.propensity is not None and listed and shown.asked is not False


def _judged(block: list[FeedbackReceived], model: Model, policy: Policy, learnt_count: int) -> list[tuple[float, ...]]:
    lists = [shown_of(event).candidates or () for event in block]
    pairs: list[Pair] = [(event.input_text, text) for event, texts in zip(block, lists, strict=True) for text in texts]
    scores = np.clip(np.asarray(model.predict(pairs), dtype=np.float64), 0.0, 1.0) if pairs else np.zeros(0)
    ends = np.cumsum([len(texts) for texts in lists])
    return [
        _row(event, texts, scores[end - len(texts) : end], policy, learnt_count)
        for event, texts, end in zip(block, lists, ends.tolist(), strict=True)
    ]


def _row(
    event: FeedbackReceived, texts: tuple[str, ...], scores: Floats, policy: Policy, learnt_count: int
) -> tuple[float, ...]:
    shares = probabilities_of(policy, scores, learnt_count)
    same = np.array([text == event.output_text for text in texts])  # a text given twice counts as one candidate
    asked = shown_of(event).ask_propensity or 1.0
    value = float(np.clip((shares * scores).sum(), 0.0, 1.0))
    target = min(float(shares[same].sum()), 1.0)
    return (event.feedback_score, event.propensity or 1.0, target, float(scores[same][0]), value, asked)
