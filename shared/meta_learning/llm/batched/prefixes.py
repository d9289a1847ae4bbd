"""What the prompts of a batch have in common is computed once: instructions and examples are most of an evaluation's tokens."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any

# The instruction of a short prompt is about as long as what it is asked about; half a dozen tokens are in every prompt alike.
SHARED_MIN = 16
# A token takes 22 KB in SmolLM2's 30 layers and 28 KB in a model of 1.5 billion numbers: 30 to 40 prompts of 300 tokens.
KEPT_BYTES = 256 * 2**20
# Callers that ask one after another: so many of their prompts side by side.
SEEN_COUNT = 8

Tokens = Sequence[int]


def common_length(one: Tokens, other: Tokens) -> int:
    """How many tokens two rows begin with alike.

    >>> common_length([1, 2, 3], [1, 2, 4])
    2
    """
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def families(rows: Sequence[Tokens], shared_min: int | None = SHARED_MIN) -> list[list[int]]:
    """The places of ``rows`` in groups that begin alike, each sorted by length; strangers stand together in one.

    Rows belong together when they share at least ``shared_min`` tokens and at least half of what either shares with another;
    ``shared_min`` None: all are strangers.

    >>> families([[1, 2, 3, 7], [5, 5], [1, 2, 3, 8, 8], [1, 9, 9]], shared_min=2)
    [[0, 2], [1, 3]]
    """
    order = sorted(range(len(rows)), key=lambda place: list(rows[place]))
    shared = [0, *(common_length(rows[one], rows[other]) for one, other in pairwise(order)), 0]
    groups: list[list[int]] = []
    for number, place in enumerate(order):
        near = shared[number]
        linked = (
            shared_min is not None
            and near >= shared_min
            and near >= 0.5 * max(shared[number - 1] if number else 0, shared[number + 1])
        )
        if linked:
            groups[-1].append(place)
        else:
            groups.append([place])
    strangers = [group[0] for group in groups if len(group) == 1]
    return [
        sorted(group, key=lambda place: (len(rows[place]), place))
        for group in [*(group for group in groups if len(group) > 1), strangers]
        if group
    ]


class Prefixes:
    """The keys and values of the beginnings that were used last, for one model, in at most ``kept_bytes``."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept: OrderedDict[tuple[int, ...], list[tuple[Any, Any]]] = OrderedDict()
        self._kept_bytes = kept_bytes
        self._seen: deque[Tokens] = deque(maxlen=SEEN_COUNT)

    @property
    def bytes_count(self) -> int:
        """What is kept, in bytes."""
        return sum(map(_bytes, self._kept.values()))

    def known(self, wanted: Tokens) -> tuple[int, list[tuple[Any, Any]]]:
        """The longest part of ``wanted`` that is kept: its length, and each layer's keys and values (1, heads, length, size)."""
        best: tuple[int, ...] = ()
        length = 0
        for kept in self._kept:
            if (alike := common_length(kept, wanted)) > length:
                best, length = kept, alike
        if not length:
            return 0, []
        self._kept.move_to_end(best)
        return length, [(keys[..., :length, :], values[..., :length, :]) for keys, values in self._kept[best]]

    def keep(self, tokens: Tokens, layers: list[tuple[Any, Any]]) -> None:
        """Remember a beginning in place of those that it continues, and forget the one that was not used for longest."""
        for kept in [kept for kept in self._kept if common_length(kept, tokens) == len(kept)]:
            del self._kept[kept]
        self._kept[tuple(tokens)] = layers
        while self._kept and self.bytes_count > self._kept_bytes:
            self._kept.popitem(last=False)

    def repeated(self, prompt: Tokens) -> int:
        """How much of ``prompt``, which came alone, one of those before it began with too; remembers it for the next.

        >>> prefixes = Prefixes()
        >>> prefixes.repeated([1, 2, 3]), prefixes.repeated([1, 2, 4])
        (0, 2)
        """
        length = max((common_length(prompt, seen) for seen in self._seen), default=0)
        self._seen.append(prompt)
        return length


def _bytes(layers: list[tuple[Any, Any]]) -> int:
    return sum(int(one.nbytes) for pair in layers for one in pair)
