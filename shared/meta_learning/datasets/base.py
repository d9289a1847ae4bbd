"""The port to data sets: where the examples come from that a prompt is judged on.

To bring your own, say how it is read and how one item is shown; sampling, shuffling and the errors are inherited:

>>> class Capitals(BaseDatasetLoader):
...     name = "capitals"
...
...     def load_data(self):
...         return [("France", "Paris"), ("Peru", "Lima"), ("Kenya", "Nairobi")]
...
...     def format_sample(self, sample):
...         country, capital = sample
...         return {"input": f"Capital of {country}?", "expected": capital, "metadata": {}}
>>> capitals = Capitals()
>>> len(capitals)
3
>>> capitals.get_samples(1) == capitals.get_samples(3)[:1]
True
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from meta_learning.errors import CallerError

Sample = dict[str, Any]
"""``{"input": str, "expected": str, "metadata": dict}``, and ``"group": str`` of one user's, thread's or source's items"""


class BaseDatasetLoader(ABC):
    """A data set by name. Nothing is read before the first question about its items, and then once.

    A subclass may hold a path, a list or a connection of its own; it need not call ``super().__init__``.
    """

    name: ClassVar[str] = "custom"

    @abstractmethod
    def load_data(self) -> Sequence[Any]:
        """Read all items, in any form that `format_sample` understands. Called at most once.

        Raises:
            MalformedDataset: a row does not have the promised form; the message names it.
        """

    @abstractmethod
    def format_sample(self, sample: Any) -> Sample:
        """One item as ``{"input", "expected", "metadata"}``: what is asked, the right answer, and whatever else is known."""

    def get_samples(self, n: int, seed: int = 0) -> list[Sample]:
        """The first ``n`` formatted items of the order that ``seed`` fixes.

        A longer draw starts with the shorter one, so fresh items are had by asking for more:
        ``get_samples(150)[100:]`` shares nothing with ``get_samples(100)``.

        Raises:
            CallerError: ``n`` is below 1, or more than the data set holds.
        """
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise CallerError(f"{self.name}: asked for {n!r} samples; ask for a whole number of at least 1")
        if n > len(self):
            raise CallerError(f"{self.name}: asked for {n} samples, {len(self)} are available")
        return [self.format_sample(self._items[index]) for index in self._order(seed)[:n]]

    def __len__(self) -> int:
        return len(self._items)

    @cached_property
    def _items(self) -> Sequence[Any]:
        return self.load_data()

    @cached_property
    def _orders(self) -> dict[int, list[int]]:
        return {}

    def _order(self, seed: int) -> list[int]:
        if seed not in self._orders:
            self._orders.clear()  # one order is enough to keep: a run draws all its items by one seed
            self._orders[seed] = shuffled(len(self), seed)
        return self._orders[seed]


def shuffled(count: int, seed: int) -> list[int]:
    """The numbers below ``count`` in the order that ``seed`` fixes, on every version of Python.

    >>> shuffled(5, seed=1)
    [0, 3, 4, 2, 1]
    """
    # Sorted by random keys: Python promises that `random()` never changes for a seed, and promises nothing for `shuffle`.
    draw = random.Random(seed)
    keys = [draw.random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)
