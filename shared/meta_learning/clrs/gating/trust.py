"""Per-user trust: who keeps contradicting what the model had learnt before it heard them does not teach it."""

from __future__ import annotations

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Self

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.errors import MalformedState

PRIOR = 2.0  # Beta(2, 2): nobody is distrusted on a few contradictions
USERS_MIN = 5  # known users below which there is no majority to compare anybody with
EVIDENCE_MIN = 3.0  # weight of a user's feedback below which they say nothing about the median
CONFIDENT = 0.1  # distance of a prediction from the mean feedback at which a contradiction counts in full


class TrustBook:
    """Decayed Beta(2, 2) counts of agreement between a user's feedback and the model's prediction from before it.

    Both are compared with the mean feedback, and a prediction near it counts little: where the model knows nothing yet, nobody can
    contradict it. A user is distrusted while mean + 2 standard errors lies below the median user's mean - ``slack``. Counts
    fade by ``decay`` with every further piece, so that an attacker who behaves first and turns later is found out (by half of
    the weight after 34 pieces at 0.98), and somebody distrusted can come back. When the world turns, all users contradict the
    model at once, the median falls with them, and nobody is distrusted.

    Memory: at most ``users_max`` users, known by a hash of their name; the one heard of least recently is forgotten first.

    >>> book = TrustBook()
    >>> for _ in range(20):
    ...     out = book.observe(list("abcdef"), np.full(6, 0.9), np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]), 0.5)
    >>> out == {"f"}
    True
    """

    def __init__(self, users_max: int = 2000, decay: float = 0.98, slack: float = 0.05) -> None:
        self.users_max, self.decay, self.slack = users_max, decay, slack
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def observe(self, users: Sequence[str | None], predicted: Floats, scores: Floats, constant: float) -> set[str]:
        """Fold a cycle's feedback in order; the users of this cycle who are not to be trusted now."""
        if self.slack >= 1.0:
            return set()
        said, guessed = np.sign(np.round(scores - constant, 6)), np.sign(np.round(predicted - constant, 6))
        agreed = ((1.0 + said * guessed) / 2.0).tolist()
        weights = np.minimum(np.abs(predicted - constant) / CONFIDENT, 1.0).tolist()
        for user, agreement, weight in zip(users, agreed, weights, strict=True):
            if user is not None:
                self._count(hashed(user), agreement, weight)
        while len(self._counts) > self.users_max:
            self._counts.popitem(last=False)
        limit = self._limit()
        known = {user for user in users if user is not None}
        return set() if limit is None else {user for user in known if self._most(hashed(user)) < limit}

    def _count(self, name: str, agreement: float, weight: float) -> None:
        agreed, contradicted = self._counts.get(name, (0.0, 0.0))
        self._counts[name] = (
            self.decay * agreed + weight * agreement,
            self.decay * contradicted + weight * (1.0 - agreement),
        )
        self._counts.move_to_end(name)

    def _limit(self) -> float | None:
        means = [_mean(*counts) for counts in self._counts.values() if sum(counts) >= EVIDENCE_MIN]
        return float(np.median(means)) - self.slack if len(means) >= USERS_MIN else None

    def _most(self, name: str) -> float:
        """The mean plus two standard errors of a user's Beta posterior; 1 of somebody who was forgotten."""
        if name not in self._counts:
            return 1.0
        mean, count = _mean(*self._counts[name]), sum(self._counts[name]) + 2 * PRIOR
        return mean + 2.0 * math.sqrt(mean * (1.0 - mean) / (count + 1.0))

    def __len__(self) -> int:
        return len(self._counts)

    def dump(self) -> bytes:
        """The counts as JSON, in the order of forgetting: equal states give equal bytes."""
        return json.dumps([[name, *counts] for name, counts in self._counts.items()], separators=(",", ":")).encode()

    def load(self, blob: bytes) -> Self:
        """Read `dump` back into this book.

        Raises:
            MalformedState: no such dump.
        """
        try:
            self._counts = OrderedDict((str(name), (float(a), float(b))) for name, a, b in json.loads(blob))
        except (TypeError, ValueError) as error:
            raise MalformedState(f"not a book of trust: {error!r}") from error
        return self


def hashed(user: str) -> str:
    """What a user is remembered by: 64 bits of SHA-256, so that a state holds no names.

    >>> len(hashed("ann"))
    16
    """
    return hashlib.sha256(user.encode()).hexdigest()[:16]


def _mean(agreed: float, contradicted: float) -> float:
    return (agreed + PRIOR) / (agreed + contradicted + 2 * PRIOR)
