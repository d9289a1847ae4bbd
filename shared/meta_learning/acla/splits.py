"""Items out of a loader's samples, and two parts of them that never overlap: search, and gate."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from meta_learning.acla.grouping import whole_groups
from meta_learning.acla.parsing import normalised
from meta_learning.errors import MalformedDataset

LABELS_COUNT_MAX = 12
LABEL_CHARS_MAX = 40
SHORT_WORDS_MAX = 5


@dataclass(frozen=True, slots=True)
class Item:
    """One question with its expected answer. ``id`` is `item_id`'s: equal inputs are one item.

    ``group``: the user, thread or source that it comes from, all of whose items stay in one part; None for nobody's.
    """

    id: str
    input: str
    expected: str
    metadata: dict[str, Any] = field(default_factory=dict, compare=False)
    group: str | None = field(default=None, compare=False)

    def as_sample(self) -> dict[str, Any]:
        """The dictionary that a loader gave and that an ``evaluation_fn`` gets."""
        sample = {"input": self.input, "expected": self.expected, "metadata": self.metadata}
        return sample if self.group is None else {**sample, "group": self.group}


@dataclass(frozen=True, slots=True)
class Splits:
    """``search`` in the one common random order of all comparisons; ``gate`` is looked at once, at the end."""

    search: tuple[Item, ...]
    gate: tuple[Item, ...]
    duplicates_count: int = 0

    @property
    def groups_counts(self) -> tuple[int, int] | None:
        """How many groups are searched on, and how many decide; None where no item has a group."""
        if all(item.group is None for item in (*self.search, *self.gate)):
            return None
        return len({group_or_self(item) for item in self.search}), len({group_or_self(item) for item in self.gate})


def read_items(samples: Sequence[Any]) -> list[Item]:
    """The items of formatted samples, duplicates included.

    Raises:
        MalformedDataset: a sample is no dictionary with a text ``input`` and an ``expected``; the message names its number.
    """
    if not isinstance(samples, Sequence) or isinstance(samples, str | bytes):
        raise MalformedDataset(f"the loader gave a {type(samples).__name__}, not a list of samples")
    return [_item(sample, row) for row, sample in enumerate(samples, start=1)]


def split(items: Sequence[Item], search_count: int, rng: random.Random) -> Splits:
    """Shuffle (loaders may sort by class), drop repeated inputs, and give the first ``search_count`` to the search.

    Where items have groups, whole groups go to the gate as long as they fit, and none is in both parts.

    >>> items = read_items([{"input": f"text {i}", "expected": "a"} for i in range(5)] + [{"input": "TEXT 1 ", "expected": "a"}])
    >>> parts = split(items, 3, random.Random(0))
    >>> len(parts.search), len(parts.gate), parts.duplicates_count
    (3, 2, 1)
    """
    once = list({item.id: item for item in reversed(items)}.values())
    once.sort(key=lambda item: item.id)
    rng.shuffle(once)
    search, gate = once[:search_count], once[search_count:]
    if any(item.group is not None for item in once):
        names = sorted({group_or_self(item) for item in once})
        places = dict(zip(names, rng.sample(range(len(names)), len(names)), strict=True))
        gate, search = whole_groups(once, group_or_self, len(gate), places.__getitem__)
    return Splits(tuple(search[:search_count]), tuple(gate), duplicates_count=len(items) - len(once))


def group_or_self(item: Item) -> str:
    """The group of an item, or a name that no other item has."""
    return f"item {item.id}" if item.group is None else f"group {item.group}"


def item_id(text: str) -> str:
    """The digest of an input, the same whatever its case, spacing and outer punctuation."""
    return hashlib.sha256(normalised(text).encode()).hexdigest()[:24]


def closed_labels(items: Sequence[Item]) -> tuple[str, ...]:
    """The answers, sorted, if they are a small closed set; else nothing.

    >>> closed_labels(read_items([{"input": str(i), "expected": "yes" if i % 2 else "no"} for i in range(9)]))
    ('no', 'yes')
    """
    labels = sorted({item.expected for item in items})
    few = 2 <= len(labels) <= min(LABELS_COUNT_MAX, max(2, len(items) // 3))
    return tuple(labels) if few and all(0 < len(label) <= LABEL_CHARS_MAX for label in labels) else ()


def free_text_share(items: Sequence[Item]) -> float:
    """The share of items whose answer is a text of more than `SHORT_WORDS_MAX` words: nobody says it word for word.

    >>> free_text_share(read_items([{"input": "1", "expected": "42"}, {"input": "2", "expected": "It is on its way to you, sorry."}]))
    0.5
    """
    return sum(len(item.expected.split()) > SHORT_WORDS_MAX for item in items) / max(1, len(items))


def _item(sample: Any, row: int) -> Item:
    if not isinstance(sample, dict) or "input" not in sample or "expected" not in sample:
        raise MalformedDataset('a sample is a dictionary with "input" and "expected"', row)
    text, expected = sample["input"], sample["expected"]
    if not isinstance(text, str) or not text.strip():
        raise MalformedDataset('"input" must be a text that is not empty', row)
    if not isinstance(expected, str | int | float):
        raise MalformedDataset('"expected" must be a text or a number', row)
    metadata = dict(sample.get("metadata") or {})
    return Item(item_id(text), text, str(expected), metadata, _group(sample.get("group")))


def _group(said: Any) -> str | None:
    # A loader of somebody's own may leave what tables have where nothing is: a blank, or NaN.
    is_missing = said is None or (isinstance(said, float) and math.isnan(said))
    return None if is_missing else str(said).strip() or None
