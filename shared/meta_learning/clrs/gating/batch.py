"""One cycle's feedback as arrays, and which of it may train: not what distrusted users sent, nor too much of any one user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.exchange import Exchange, exchange_of
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.events import FeedbackReceived


@dataclass(frozen=True)
class Batch:
    """The exchanges and scores of a cycle in order; ``left_out`` has the positions of those that neither train nor count.

    Its reasons are ``capped`` (a user's share of the cycle is full, or they said the same twice) and ``distrusted``.
    """

    exchanges: tuple[Exchange, ...]
    scores: Floats
    left_out: dict[str, tuple[int, ...]]

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """What a model sees, in the order of the events."""
        return tuple(exchange.pair for exchange in self.exchanges)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which events may train and count."""
        return kept_of(len(self.exchanges), self.left_out)

    @property
    def kept_pairs(self) -> list[Pair]:
        """The pairs that may train."""
        return [pair for pair, keep in zip(self.pairs, self.kept.tolist(), strict=True) if keep]

    @property
    def segments(self) -> dict[str, tuple[int, ...]]:
        """The positions of each named segment's events, sorted by its name."""
        found: dict[str, list[int]] = {}
        for position, exchange in enumerate(self.exchanges):
            if exchange.segment is not None:
                found.setdefault(exchange.segment, []).append(position)
        return {name: tuple(found[name]) for name in sorted(found)}

    def count(self, reason: str) -> int:
        """How many events were left out for ``reason``."""
        return len(self.left_out.get(reason, ()))


def batch_of(
    events: Sequence[FeedbackReceived], user_share_max: float, distrusted: Collection[str] = frozenset()
) -> Batch:
    """The batch of ``events``; of each known user only the first ``cap_of`` count, each of their exchanges once."""
    exchanges = tuple(exchange_of(event) for event in events)
    doubtful = tuple(place for place, exchange in enumerate(exchanges) if exchange.user_id in distrusted)
    capped = _capped(exchanges, user_share_max, set(doubtful))
    named = {"capped": capped, "distrusted": doubtful}
    return Batch(
        exchanges=exchanges,
        scores=np.array([event.feedback_score for event in events], dtype=np.float64),
        left_out={reason: places for reason, places in named.items() if places},
    )


def cap_of(users: Sequence[str | None], share_max: float) -> int:
    """How many events one known user may have in a cycle: the share, but never less than an equal part.

    So an application with a single user still learns, while one of many users cannot outvote the others.

    >>> cap_of(["ann"] * 10, 0.25), cap_of(["ann"] * 7 + ["bob", "cid", "dan"], 0.25)
    (10, 3)
    """
    known = {user for user in users if user is not None}
    return max(int(share_max * len(users)), -(-len(users) // max(len(known), 1)), 1)


def kept_of(count: int, left_out: dict[str, tuple[int, ...]]) -> NDArray[np.bool_]:
    """Which of ``count`` events were not left out."""
    kept = np.ones(count, dtype=np.bool_)
    kept[[place for places in left_out.values() for place in places]] = False
    return kept


def _capped(exchanges: Sequence[Exchange], share_max: float, doubtful: set[int]) -> tuple[int, ...]:
    cap = cap_of([exchange.user_id for exchange in exchanges], share_max)
    seen: Counter[str] = Counter()
    said: set[tuple[Any, ...]] = set()
    capped = []
    for place, exchange in enumerate(exchanges):
        user = exchange.user_id
        if user is None or place in doubtful:
            continue
        # Two answers to one question are two judgements; the same answer to it again is one judgement twice.
        again = (user, *exchange.pair) in said
        if again or seen[user] >= cap:
            capped.append(place)
            continue
        said.add((user, *exchange.pair))
        seen[user] += 1
    return tuple(capped)
