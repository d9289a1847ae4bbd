"""Per-user trust: who keeps contradicting what the model had learnt before it heard them does not teach it."""

from __future__ import annotations

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.errors import MalformedState

PRIOR = 2.0  # Beta(2, 2): nobody is distrusted on a few contradictions
USERS_MIN = 5  # known users below which there is no majority to compare anybody with
EVIDENCE_MIN = 3.0  # weight of a user's feedback below which they say nothing about the median
CONFIDENT = 0.1  # distance of a prediction from the mean feedback at which a recent contradiction counts in full
# A model that many poisoned from the start agrees with its poisoners almost as often as with the others: only a long memory in
# which every opinion counts alike can tell them apart.
LASTING_DECAY = 0.999
OPINION = 0.01  # distance from the mean feedback from which a prediction is an opinion
RECENT_ERRORS, LASTING_ERRORS = 2.0, 2.5  # standard errors by which a user must surely lie below the limit
LASTING_SLACK = 0.4  # of the slack
NOTHING = (0.0, 0.0)


class TrustBook:
    """Decayed Beta(2, 2) counts of agreement between a user's feedback and the model's prediction from before it.

    Both are compared with the mean feedback. A user is distrusted while mean + 2 standard errors lies below the median user's mean
    - ``slack``, in either of two memories:

    - recent: a prediction near the mean feedback counts little, and counts fade by ``decay`` with every further piece, so that an
      attacker who behaves first and turns later is found out (by half of the weight after 34 pieces at 0.98);
    - lasting: every opinion counts alike and hardly fades. It counts only against somebody who agrees less than most in the recent
      memory too, so that somebody distrusted can come back.

    Where the model knows nothing yet, nobody can contradict it. When the world turns, all users contradict it at once, the median
    falls with them, and nobody is distrusted. Memory: at most ``users_max`` users, known by a hash of their name; the one heard of
    least recently is forgotten first.

    >>> book = TrustBook()
    >>> for _ in range(20):
    ...     out = book.observe(list("abcdef"), np.full(6, 0.9), np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]), 0.5)
    >>> out == {"f"}
    True
    """

    def __init__(self, users_max: int = 2000, decay: float = 0.98, slack: float = 0.05) -> None:
        self.users_max, self.decay, self.slack = users_max, decay, slack
        self._recent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lasting: dict[str, tuple[float, float]] = {}

    def observe(self, users: Sequence[str | None], predicted: Floats, scores: Floats, constant: float) -> set[str]:
        """Fold a cycle's feedback in order; the users of this cycle who are not to be trusted now."""
        if self.slack >= 1.0:
            return set()
        said, guessed = np.sign(np.round(scores - constant, 6)), np.sign(np.round(predicted - constant, 6))
        agreed = ((1.0 + said * guessed) / 2.0).tolist()
        distance = np.abs(predicted - constant)
        weights, opinions = np.minimum(distance / CONFIDENT, 1.0).tolist(), (distance >= OPINION).tolist()
        for user, agreement, weight, opinion in zip(users, agreed, weights, opinions, strict=True):
            if user is not None:
                self._count(hashed(user), agreement, weight, float(opinion))
        while len(self._recent) > self.users_max:
            del self._lasting[self._recent.popitem(last=False)[0]]
        return self._distrusted({user for user in users if user is not None})

    def _distrusted(self, users: set[str]) -> set[str]:
        recently, lastingly = _median(self._recent), _median(self._lasting)
        if recently is None or lastingly is None:
            return set()
        lately, ever = recently - self.slack, lastingly - LASTING_SLACK * self.slack
        found = set()
        for user in users:
            now, long = (memory.get(hashed(user), NOTHING) for memory in (self._recent, self._lasting))
            less_lately = _mean(*now) < lately
            if _most(now, RECENT_ERRORS) < lately or (less_lately and _most(long, LASTING_ERRORS) < ever):
                found.add(user)
        return found

    def _count(self, name: str, agreement: float, weight: float, opinion: float) -> None:
        self._recent[name] = _faded(self._recent.get(name, NOTHING), self.decay, agreement, weight)
        self._recent.move_to_end(name)
        self._lasting[name] = _faded(self._lasting.get(name, NOTHING), LASTING_DECAY, agreement, opinion)

    def __len__(self) -> int:
        return len(self._recent)

    def dump(self) -> bytes:
        """The counts as JSON, in the order of forgetting: equal states give equal bytes."""
        rows = [[name, *counts, *self._lasting[name]] for name, counts in self._recent.items()]
        return json.dumps(rows, separators=(",", ":")).encode()

    def load(self, blob: bytes) -> Self:
        """Read `dump` back into this book.

        Raises:
            MalformedState: no such dump.
        """
        try:
            rows = [(str(name), float(a), float(b), float(c), float(d)) for name, a, b, c, d in json.loads(blob)]
            self._recent = OrderedDict((name, (a, b)) for name, a, b, _, _ in rows)
            self._lasting = {name: (a, b) for name, _, _, a, b in rows}
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


def _most(counts: tuple[float, float], errors: float) -> float:
    """The mean and so many standard errors of a user's Beta posterior."""
    mean, count = _mean(*counts), sum(counts) + 2 * PRIOR
    return mean + errors * math.sqrt(mean * (1.0 - mean) / (count + 1.0))


def _median(memory: Mapping[str, tuple[float, float]]) -> float | None:
    """The median user's mean; None while too few are known."""
    means = [_mean(*counts) for counts in memory.values() if sum(counts) >= EVIDENCE_MIN]
    return float(np.median(means)) if len(means) >= USERS_MIN else None


def _faded(counts: tuple[float, float], decay: float, agreement: float, weight: float) -> tuple[float, float]:
    agreed, contradicted = counts
    return decay * agreed + weight * agreement, decay * contradicted + weight * (1.0 - agreement)
