"""How a run ended: what becomes `EvolutionCompleted`, and perhaps a new prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from meta_learning.registry.prompts import Voter

Outcome = Literal["improved", "no_evidence", "no_headroom", "stopped_by_budget", "search_only", "cancelled", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
REASON_CHARS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run. ``prompt`` is the text that was found better, None where nothing may take over; ``champion``
    is the manifest's digest of what was the loop's prompt when the run began. The scores are those of `EvolutionCompleted`.
    ``voters``: where several prompts were found that vote, all of them; ``price``: what a question takes.
    """

    outcome: Outcome
    reason: str = ""
    seed_score: float | None = None
    best_score: float | None = None
    low: float | None = None
    high: float | None = None
    calls_count: int = 0
    prompt: str | None = None
    blocks: Mapping[str, Any] = field(default_factory=dict)
    promote: bool = True
    champion: str | None = None
    voters: tuple[Voter, ...] = ()
    price: Mapping[str, Any] | None = None

    def summary(self) -> dict[str, Any]:
        """What the queue keeps as the job's result."""
        return {"outcome": self.outcome, "best_score": self.best_score, "calls_count": self.calls_count}

    def numbers(self) -> dict[str, Any]:
        """What the prompt's manifest remembers."""
        return {
            "seed_score": self.seed_score,
            "best_score": self.best_score,
            "low": self.low,
            "high": self.high,
            "calls_count": self.calls_count,
        }


def failed(reason: str) -> Ending:
    """A run that came to nothing, and why."""
    return Ending("failed", reason=reason[:REASON_CHARS_MAX])
