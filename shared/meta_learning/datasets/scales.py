"""Score scales: what a number in somebody's file means as a score in [0, 1].

A scale is declared, or detected only where the numbers leave no doubt; what was detected is always said aloud.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from meta_learning.errors import CallerError, MalformedDataset

ScaleChoice = Literal["auto", "0-1", "0-100", "1-5"] | tuple[float, float]
_NAMED: dict[Any, tuple[float, float]] = {"0-1": (0.0, 1.0), "0-100": (0.0, 100.0), "1-5": (1.0, 5.0)}
_GOOD_WORDS = frozenset({"true", "yes", "up", "thumbs_up", "like", "liked", "good", "positive", "helpful"})
_BAD_WORDS = frozenset({"false", "no", "down", "thumbs_down", "dislike", "disliked", "bad", "negative", "unhelpful"})


@dataclass(frozen=True, slots=True)
class Scale:
    """The numbers that mean the worst and the best feedback.

    >>> Scale(1, 5, how="declared").unit(4)
    0.75
    """

    low: float
    high: float
    how: str

    def unit(self, score: float) -> float:
        """``score`` as a number in [0, 1]."""
        return (score - self.low) / (self.high - self.low)

    def describe(self) -> str:
        """One clause for a person to check."""
        return f"scores from {self.low:g} (worst) to {self.high:g} (best), {self.how}"


@dataclass(slots=True)
class Spread:
    """The smallest and the largest score seen, which is all that a detection looks at.

    >>> spread = Spread()
    >>> for score in (12.0, 55.5, 97.0):
    ...     spread.see(score)
    >>> spread.detect().describe()
    'scores from 0 (worst) to 100 (best), detected: all 3 lie between 12 and 97'
    """

    low: float = math.inf
    high: float = -math.inf
    count: int = 0

    def see(self, score: float) -> None:
        """Take one score into account."""
        self.low, self.high, self.count = min(self.low, score), max(self.high, score), self.count + 1

    def detect(self) -> Scale:
        """The one scale that these scores can be on: 0–1, 1–5 (a 5 was seen), or 0–100 (one above 50 was seen).

        Raises:
            CallerError: several scales are possible, so it must be declared.
        """
        how = f"detected: all {self.count:,} lie between {self.low:g} and {self.high:g}"
        if self.low >= 0 and self.high <= 1:
            return Scale(0.0, 1.0, how)
        if self.low >= 1 and self.high == 5:
            return Scale(1.0, 5.0, how)
        if self.low >= 0 and 50 < self.high <= 100:
            return Scale(0.0, 100.0, how)
        raise CallerError(
            f"the scores lie between {self.low:g} and {self.high:g}, which fits no scale beyond doubt; "
            "declare it, for instance scale='1-5' or scale=(0, 10)"
        )


def declared(choice: ScaleChoice) -> Scale:
    """The scale that a caller names.

    Raises:
        CallerError: an unknown name, or bounds that are not two rising finite numbers.
    """
    low, high = _NAMED.get(choice, (math.nan, math.nan)) if isinstance(choice, str) else choice
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise CallerError(f"scale must be 'auto', {', '.join(map(repr, _NAMED))} or (low, high), not {choice!r}")
    return Scale(float(low), float(high), how="declared")


def parse_score(value: Any, row: int) -> float:
    """A cell as a finite number; words of praise and of blame are 1 and 0.

    >>> parse_score("86.5", row=2), parse_score(True, row=3), parse_score("thumbs down", row=4)
    (86.5, 1.0, 0.0)

    Raises:
        MalformedDataset: it is neither a finite number nor such a word.
    """
    word = str(value).strip().lower().replace(" ", "_")
    if word in _GOOD_WORDS or word in _BAD_WORDS:
        return float(word in _GOOD_WORDS)
    try:
        score = float(word)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise MalformedDataset(f"the score {str(value)[:40]!r} is not a finite number", row=row)
    return score
