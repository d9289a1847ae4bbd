"""One cycle's feedback as arrays, and which of it may train: no single user may fill a cycle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    """The exchanges and scores of a cycle in order; ``kept`` marks those that may train and be counted by the gates."""

    exchanges: tuple[Exchange, ...]
    scores: Floats
    kept: NDArray[np.bool_]

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """What a model sees, in the order of the events."""
        return tuple(exchange.pair for exchange in self.exchanges)

    @property
    def kept_pairs(self) -> list[Pair]:
        """The pairs that may train."""
        return [pair for pair, keep in zip(self.pairs, self.kept.tolist(), strict=True) if keep]

    @property
    def capped_count(self) -> int:
        """How many may not."""
        return len(self.exchanges) - int(self.kept.sum())


def batch_of(events: Sequence[FeedbackReceived], user_share_max: float) -> Batch:
    """The batch of ``events``; of each known user only the first ``cap_of`` count."""
    users = [event.user_id for event in events]
    return Batch(
        exchanges=tuple(exchange_of(event) for event in events),
        scores=np.array([event.feedback_score for event in events], dtype=np.float64),
        kept=_kept(users, cap_of(users, user_share_max)),
    )


def cap_of(users: Sequence[str | None], share_max: float) -> int:
    """How many events one known user may have in a cycle: the share, but never less than an equal part.

    So an application with a single user still learns, while one of many users cannot outvote the others.

    >>> cap_of(["ann"] * 10, 0.25), cap_of(["ann"] * 7 + ["bob", "cid", "dan"], 0.25)
    (10, 3)
    """
    known = {user for user in users if user is not None}
    return max(int(share_max * len(users)), -(-len(users) // max(len(known), 1)), 1)


def _kept(users: Sequence[str | None], cap: int) -> NDArray[Any]:
    seen: Counter[str] = Counter()
    kept = np.ones(len(users), dtype=np.bool_)
    for index, user in enumerate(users):
        if user is not None:
            seen[user] += 1
            kept[index] = seen[user] <= cap
    return kept
