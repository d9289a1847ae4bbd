"""The human ceiling: how well do two users who judged the same answers order them alike?"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np

from meta_learning.clrs.alignment.comparison import Tally, tally
from meta_learning.clrs.exchange import Exchange
from meta_learning.clrs.models.port import Floats

WAITING_MAX = 512  # answers judged once, the last so many
DOUBLES_MAX = 256  # answers judged twice, the last so many
DOUBLES_MIN = 50
SAME_RATERS_MIN = 50
Z = 1.96


class Ceiling(NamedTuple):
    """The concordance of humans with each other, its bounds, and on how many answers it rests."""

    value: float
    low: float
    high: float
    doubles: int


class HumanCeiling:
    """Remembers answers that one user judged until another user judges the same; constant memory (24 KB as JSON at most).

    One of the two scores is taken as the prediction of the other, so ties of the former count half, as a model's would.
    Where enough pairs of answers were judged by the same two users, only those are compared: that removes the offset of
    each user's scale, as it does for the model.

    >>> ceiling = HumanCeiling()
    >>> seen = [Exchange(f"question {n}", "yes", user_id="ann") for n in range(60)]
    >>> ceiling.update(seen, np.arange(60) / 60)
    >>> ceiling.update([found._replace(user_id="bob") for found in seen], np.arange(60) / 120)
    >>> ceiling.result().value
    1.0
    """

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[int, float]] = {}
        self._doubles: list[tuple[int, float, float]] = []

    def update(self, exchanges: Sequence[Exchange], scores: Floats) -> None:
        """Fold a batch; feedback of unknown users says nothing about who agrees with whom."""
        for exchange, score in zip(exchanges, scores.tolist(), strict=True):
            if exchange.user_id is not None:
                self._judged(_number(*exchange.pair), _number(exchange.user_id), round(score, 4))
        while len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._doubles = self._doubles[-DOUBLES_MAX:]

    def _judged(self, item: int, user: int, score: float) -> None:
        first = self._waiting.pop(item, None)
        if first is None or first[0] == user:
            self._waiting[item] = (user, score)
            return
        # Always the same way round, so that two users who meet often are one pair of raters; who predicts whom is chance.
        mine, theirs = sorted([first, (user, score)])
        self._doubles.append((mine[0] ^ theirs[0], mine[1], theirs[1]))

    def result(self) -> Ceiling | None:
        """The ceiling with its 95 % bounds; None below 50 answers that two users judged."""
        if len(self._doubles) < DOUBLES_MIN:
            return None
        raters, left, right = (np.array(column) for column in zip(*self._doubles, strict=True))
        found = _both_ways(left, right, raters)
        if found.events < SAME_RATERS_MIN:
            found = _both_ways(left, right, np.zeros(len(left), dtype=np.int64))
        if not found.mass:
            return None
        half = Z * found.variance**0.5
        return Ceiling(found.value, max(found.value - half, 0.0), min(found.value + half, 1.0), len(self._doubles))

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "waiting": [[item, *judged] for item, judged in self._waiting.items()],
            "doubles": [list(double) for double in self._doubles],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Read `state` back."""
        ceiling = cls()
        ceiling._waiting = {item: (user, score) for item, user, score in state["waiting"]}
        ceiling._doubles = [(raters, left, right) for raters, left, right in state["doubles"]]
        return ceiling


def _both_ways(left: Floats, right: Floats, raters: Any) -> Tally:
    one, other = tally(left, right, groups=raters), tally(right, left, groups=raters)
    if not (one.mass and other.mass):
        return one
    # The same events twice: concordance is the mean of both, the evidence is that of one.
    agreed = (one.value + other.value) / 2.0 * one.mass
    return replace(one, agreed=agreed, tied=(one.tied_share + other.tied_share) / 2.0 * one.mass)


def _number(*texts: str) -> int:
    joined = "\x1f".join(texts).encode()
    return zlib.crc32(joined) << 16 | (zlib.adler32(joined) & 0xFFFF)
