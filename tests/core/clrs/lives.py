"""Three hundred events that hold every kind of decision of a loop: promotions, holds, a rollback, a command, distrust."""

from __future__ import annotations

from datetime import timedelta

from meta_learning.clrs import LoopSettings
from meta_learning.clrs.models.bags import BagSettings
from meta_learning.clrs.models.text_model import OnlineTextModel, TextModelSettings
from meta_learning.events import FeedbackReceived
from tests.core.clrs.streams import START, labelled

# Hasty gates, so that three hundred events hold every kind of decision.
SETTINGS = LoopSettings(
    cycle_size=10,
    probe_size=20,
    alignment_threshold=0.95,
    gate_error=0.4,
    margin=0.2,
    segment_events_min=2,
    behaviour_max=1.0,
    negative_flips_max=1.0,
    window_cycles=6,
    holds_max=2,
    baking_cycles=6,
    rollback_error=0.5,
    control_cycles=4,
    perturb_cycles=2,
    perturb_size=8,
    users_max=9,
    trust_slack=0.01,
    replay_size=25,
    history_count_max=12,
)
USERS = (None, "ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal", "ivy", "joe")
COMMANDED_AT = 275


def stream() -> list[FeedbackReceived]:
    """Eve turns after sixty events, everybody for fifty in the middle; three segments; some propensities are known."""
    found = []
    for number, (asked, answered, score) in enumerate(labelled(300, seed=3)):
        user = USERS[number % len(USERS)]
        turned = (150 < number < 201) != (user == "eve" and number > 60)
        found.append(
            FeedbackReceived(
                event_id=f"e{number}",
                occurred_at=START + timedelta(seconds=number),
                loop="default",
                input_text=asked,
                output_text=answered,
                feedback_score=1.0 - score if turned else score,
                user_id=user,
                metadata={"segment": ("fr", "en", "de")[number % 3]} if number % 7 else {"segment": None, "page": 3},
                propensity=None if number % 4 == 0 else 0.25 + 0.25 * (number % 3),
            )
        )
    return found


def small_model() -> OnlineTextModel:
    """Of 32 KB, so that it can be saved and restored hundreds of times."""
    return OnlineTextModel(TextModelSettings(bags=BagSettings(bits=12)))
