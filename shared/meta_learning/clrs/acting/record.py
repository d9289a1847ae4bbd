"""What a piece of feedback remembers of how its answer came to be shown; it travels as metadata, opaque to the application."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from meta_learning.events import FeedbackReceived

ACTING_KEY = "acting"  # the metadata field that holds it
CANDIDATES_BYTES_MAX = (
    2048  # metadata holds 4 KiB in all; longer lists are left out, and with them estimates for other models
)


@dataclass(frozen=True, slots=True)
class Shown:
    """``unit`` gives the draw; ``candidates`` is None where it was too long to keep; the rest says whether feedback was asked for.

    ``asked`` is None where nobody decided about asking; else ``ask_propensity`` is the probability with which it was True.
    """

    unit: str = ""
    candidates: tuple[str, ...] | None = None
    asked: bool | None = None
    ask_propensity: float | None = None

    def metadata(self) -> dict[str, Any]:
        """As the metadata of a feedback event.

        >>> Shown(unit="u7", candidates=("yes", "no")).metadata()
        {'acting': {'unit': 'u7', 'candidates': ['yes', 'no']}}
        """
        said: dict[str, Any] = {"unit": self.unit} if self.unit else {}
        if self.candidates is not None and _size(self.candidates) <= CANDIDATES_BYTES_MAX:
            said["candidates"] = list(self.candidates)
        if self.asked is not None:
            said |= {"asked": self.asked, "ask_propensity": self.ask_propensity}
        return {ACTING_KEY: said}


def shown_of(event: FeedbackReceived) -> Shown:
    """Read it back from an event; what is missing or malformed counts as not said: metadata is the application's own."""
    said = event.metadata.get(ACTING_KEY)
    if not isinstance(said, dict):
        return Shown()
    unit, candidates = said.get("unit"), said.get("candidates")
    asked = said.get("asked")
    return Shown(
        unit=unit if isinstance(unit, str) else "",
        candidates=_texts(candidates),
        asked=asked if isinstance(asked, bool) else None,
        ask_propensity=_probability(said.get("ask_propensity")),
    )


def weight_of(event: FeedbackReceived, weight_max: float = 10.0) -> float:
    """How many pieces of feedback this one stands for: 1 over the probability that it was shown and asked for, clipped.

    For estimates over all interactions. For *learning* it does not pay: see the measurements in ``docs/acting.md``.

    >>> from meta_learning.events import parse_time
    >>> event = FeedbackReceived(event_id="a", occurred_at=parse_time("2026-01-02T03:04:05Z"), loop="support", input_text="Hi",
    ...                          output_text="Hello", feedback_score=1.0, propensity=0.25)
    >>> weight_of(event), weight_of(event, weight_max=2.0)
    (4.0, 2.0)
    """
    shown = shown_of(event)
    asked = shown.ask_propensity if shown.asked and shown.ask_propensity else 1.0
    return min(1.0 / ((event.propensity or 1.0) * asked), weight_max)


def _size(texts: tuple[str, ...]) -> int:
    return len(json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _texts(said: Any) -> tuple[str, ...] | None:
    usable = isinstance(said, list) and said and all(isinstance(text, str) for text in said)
    return tuple(said) if usable else None


def _probability(said: Any) -> float | None:
    usable = isinstance(said, int | float) and not isinstance(said, bool) and 0.0 < said <= 1.0
    return float(said) if usable else None
