"""A bounded reservoir of earlier feedback, spread evenly over users and labels, to be learnt again beside what is new."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from meta_learning.clrs.exchange import Exchange
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.errors import MalformedState


class Kept(NamedTuple):
    """One remembered piece: its stratum, its drawn number, and what was learnt."""

    stratum: str
    draw: str
    input_text: str
    output_text: str
    score: float


class Reservoir:
    """Bottom-k sampling by a hash (Cohen and Kaplan 2007), stratum by stratum: a user and a side of the middle.

    Every piece draws a number from its position in the stream; when the reservoir is full, the largest stratum gives up the
    piece with its largest number. So each stratum stays a uniform sample of its past, without a random generator to save.

    >>> kept = Reservoir(size=2)
    >>> kept.add([Exchange(str(n), "a") for n in range(9)], np.array([1.0] * 8 + [0.0]))
    >>> sorted(score for *_, score in kept.pieces)
    [0.0, 1.0]
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size, self.seed = size, seed
        self.seen = 0
        self.pieces: list[Kept] = []

    def add(self, exchanges: Sequence[Exchange], scores: Floats) -> None:
        """Remember what was just learnt, as far as there is room."""
        for exchange, score in zip(exchanges, scores.tolist(), strict=True):
            self.seen += 1
            drawn = hashlib.sha256(f"{self.seed}:{self.seen}".encode()).hexdigest()[:16]
            who = hashlib.sha256((exchange.user_id or "").encode()).hexdigest()[:16]
            self.pieces.append(Kept(f"{who}:{int(score >= 0.5)}", drawn, *exchange.pair, score))
        self._shrink()

    def _shrink(self) -> None:
        sizes = Counter(piece.stratum for piece in self.pieces)
        ordered = {name: sorted(at for at in self.pieces if at.stratum == name) for name in sizes}
        gone = set()
        for _ in range(len(self.pieces) - self.size):
            largest = max(sizes, key=lambda name: (sizes[name], name))
            sizes[largest] -= 1
            gone.add(ordered[largest].pop().draw)
        self.pieces = [piece for piece in self.pieces if piece.draw not in gone]

    def draw(self, count: int, cycle: int) -> tuple[list[Pair], Floats]:
        """``count`` pieces drawn with replacement, the same in the same cycle."""
        if not self.pieces or count <= 0:
            return [], np.zeros(0)
        chosen = np.random.default_rng([self.seed, 17, cycle]).integers(len(self.pieces), size=count).tolist()
        found = [self.pieces[at] for at in chosen]
        return [(piece.input_text, piece.output_text) for piece in found], np.array([piece.score for piece in found])

    def dump(self) -> bytes:
        """The whole state as JSON: equal states give equal bytes."""
        return json.dumps([self.seen, self.pieces], ensure_ascii=False, separators=(",", ":")).encode()

    def load(self, blob: bytes) -> Self:
        """Read `dump` back into this reservoir.

        Raises:
            MalformedState: no such dump.
        """
        try:
            seen, pieces = json.loads(blob)
            self.seen = int(seen)
            self.pieces = [Kept(str(a), str(b), str(c), str(d), float(e)) for a, b, c, d, e in pieces]
        except (TypeError, ValueError) as error:
            raise MalformedState(f"not a reservoir: {error!r}") from error
        return self
