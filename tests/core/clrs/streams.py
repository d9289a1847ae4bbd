"""Small made-up streams of feedback with a known truth. Everything is drawn from a seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from meta_learning.events import FeedbackReceived

GOOD = ["lovely", "bright", "helpful", "quick", "friendly", "warm", "clean", "fair", "fresh", "calm"]
BAD = ["awful", "broken", "rude", "slow", "noisy", "dirty", "cold", "unfair", "stale", "late"]
PLAIN = [
    "the",
    "room",
    "service",
    "parcel",
    "train",
    "dinner",
    "phone",
    "guide",
    "evening",
    "ticket",
    "garden",
    "coffee",
    "market",
]
START = datetime(2026, 1, 1, tzinfo=UTC)


def labelled(count: int, seed: int = 0, *, flipped: bool = False) -> list[tuple[str, str, float]]:
    """Sentences with a label that is right half of the time; the score says whether it is. ``flipped``: the users lie."""
    draws = np.random.default_rng([7, seed])
    rows = []
    for _ in range(count):
        liked = bool(draws.integers(2))
        words = list(draws.choice(PLAIN, 5)) + list(draws.choice(GOOD if liked else BAD, 2))
        label = ("negative", "positive")[int(draws.integers(2))]
        right = (label == "positive") == liked
        rows.append((" ".join(draws.permutation(words)), label, float(right != flipped)))
    return rows


def events(
    rows: list[tuple[str, str, float]], loop: str = "default", user_id: str | None = None
) -> list[FeedbackReceived]:
    """The rows as events, one a second."""
    return [
        FeedbackReceived(
            event_id=f"e{index}",
            occurred_at=START + timedelta(seconds=index),
            loop=loop,
            input_text=asked,
            output_text=answered,
            feedback_score=score,
            user_id=user_id,
        )
        for index, (asked, answered, score) in enumerate(rows)
    ]
