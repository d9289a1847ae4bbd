"""Every decision can be computed again from its record alone, to the same bits."""

from __future__ import annotations

import numpy as np

from meta_learning.clrs import ClosedLoopSystem, LoopSettings
from meta_learning.clrs.gating.judging import replay_decision
from meta_learning.events import CycleCompleted, FeedbackReceived
from tests.core.clrs.streams import events, labelled

SETTINGS = LoopSettings(cycle_size=20, probe_size=30, baking_cycles=4, holds_max=2)


def crowd(count: int) -> list[FeedbackReceived]:
    """Users, one of whom says the opposite; segments; and a stretch of labels turned round."""
    rows = labelled(count)
    lies = labelled(count, flipped=True)
    draws, feedback = np.random.default_rng(2), []
    for at, event in enumerate(events(rows)):
        user = f"u{int(draws.integers(8))}"
        turned = user == "u0" or count // 2 <= at < count // 2 + 60
        score = lies[at][2] if turned else event.feedback_score
        about = {"user_id": user, "feedback_score": score, "metadata": {"segment": ("de", "fr")[at % 2]}}
        feedback.append(event.model_copy(update=about))
    return feedback


def records(feedback: list[FeedbackReceived]) -> list[CycleCompleted]:
    system = ClosedLoopSystem(settings=SETTINGS)
    told = [event for at, one in enumerate(feedback) for event in system.fold(one, f"{at + 1}-0")]
    return [event for event in told if isinstance(event, CycleCompleted)]


def test_every_decision_of_many_cycles_is_replayed_from_its_encoded_record_to_the_same_bits() -> None:
    told = records(crowd(800))
    assert len(told) == 40
    for record in told:
        again = replay_decision(CycleCompleted.decode(record.encode()))
        assert (again.outcome, again.reasons, again.numbers) == (record.decision, record.reasons, record.numbers)
    assert {record.decision for record in told} >= {"promoted", "held"}
    assert any(record.left_out.get("distrusted") for record in told)
    assert any(record.shadow_predictions for record in told)
    assert any("segment" in reason for record in told for reason in record.reasons)


def test_a_replay_depends_on_the_numbers_of_the_record() -> None:
    promoted = [record for record in records(crowd(300)) if record.decision == "promoted" and record.predictions]
    assert promoted
    for record in promoted:
        worse = record.model_copy(
            update={"candidate_predictions": tuple(1.0 - score for score in record.feedback_scores)}
        )
        assert replay_decision(worse).outcome == "held"
