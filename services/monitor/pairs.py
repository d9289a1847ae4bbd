"""The (input, output) pairs of feedback that no training cycle has claimed yet, bounded in number and in bytes.

A cycle names its feedback by the first and last entry of a range; its texts are not in its event. So the monitor keeps the pairs
of a loop until the cycle that trained on them is folded. What falls out of the bounds is looked up in the log again.

>>> pairs = WaitingPairs(count_max=10, bytes_max=1000)
>>> for number in range(1, 5):
...     pairs.add(Pair(f"{number}-0", "question", f"answer {number}"))
>>> [pair.output_text for pair in pairs.take(first="2-0", last="3-0")]
['answer 2', 'answer 3']
>>> len(pairs)  # what lay before the range belongs to no later cycle, so it went too
1
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from typing import NamedTuple

from meta_learning.clrs import Exchange, exchange_of
from meta_learning.errors import MalformedState
from meta_learning.events import FeedbackReceived
from meta_learning.streams import entry_order


class Pair(NamedTuple):
    """One piece of feedback: where it lies in the log, and its exchange."""

    entry_id: str
    input_text: str
    output_text: str
    user_id: str | None = None
    segment: str | None = None
    propensity: float | None = None

    @classmethod
    def of(cls, entry_id: str, event: FeedbackReceived) -> Pair:
        """What the scores need of one event."""
        return cls(entry_id, *exchange_of(event))

    @property
    def exchange(self) -> Exchange:
        """The pair without its place in the log."""
        return Exchange(*self[1:])

    @property
    def size(self) -> int:
        """Characters held, as a cheap measure of memory."""
        return len(self.input_text) + len(self.output_text)


class WaitingPairs:
    """Pairs of one loop in entry order; the oldest fall out when ``count_max`` or ``bytes_max`` characters are passed."""

    def __init__(self, count_max: int, bytes_max: int) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._pairs: deque[Pair] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, pair: Pair) -> None:
        """Keep ``pair``, the newest."""
        self._pairs.append(pair)
        self._size += pair.size
        while len(self._pairs) > self._count_max or (self._size > self._bytes_max and len(self._pairs) > 1):
            self._drop_oldest()

    def take(self, first: str, last: str) -> list[Pair]:
        """Remove and return the pairs with ``first <= entry <= last``; older ones are dropped with them."""
        low, high = entry_order(first), entry_order(last)
        taken = []
        while self._pairs and entry_order(self._pairs[0].entry_id) <= high:
            pair = self._drop_oldest()
            if entry_order(pair.entry_id) >= low:
                taken.append(pair)
        return taken

    def _drop_oldest(self) -> Pair:
        pair = self._pairs.popleft()
        self._size -= pair.size
        return pair

    def dump(self) -> bytes:
        """The pairs as compressed JSON, for the commit."""
        return zlib.compress(json.dumps(list(self._pairs), ensure_ascii=False).encode(), level=1)

    def fill(self, dump: bytes) -> None:
        """Put back what `dump` wrote.

        Raises:
            MalformedState: the bytes are something else.
        """
        try:
            rows = json.loads(zlib.decompress(dump))
            for row in rows:
                self.add(Pair(*row))
        except (zlib.error, ValueError, TypeError) as error:
            raise MalformedState(f"the waiting pairs cannot be read back: {error}") from None
