"""Items out of a loader's samples, and two parts of them that never overlap: search, and gate."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from meta_learning.acla.grouping import whole_groups
from meta_learning.datasets.spelling import answer_key, text_key, usual_spellings
from meta_learning.errors import MalformedDataset

LABELS_COUNT_MAX = 12
LABEL_CHARS_MAX = 40
SHORT_WORDS_MAX = 5


@dataclass(frozen=True, slots=True)
class Item:
    """One question with its expected answer. ``id`` is `item_id`'s: equal inputs are one item.

    ``group``: the user, thread or source that it comes from, all of whose items stay in one part; None for nobody's.
    ``given``: the answer as the loader wrote it, where it is spelled otherwise than ``expected``.
    """

    id: str
    input: str
    expected: str
    metadata: dict[str, Any] = field(default_factory=dict, compare=False)
    group: str | None = field(default=None, compare=False)
    given: str | None = field(default=None, compare=False)

    def as_sample(self) -> dict[str, Any]:
        """The dictionary that a loader gave and that an ``evaluation_fn`` gets."""
        expected = self.expected if self.given is None else self.given
        sample = {"input": self.input, "expected": expected, "metadata": self.metadata}
        return sample if self.group is None else {**sample, "group": self.group}


@dataclass(frozen=True, slots=True)
class Splits:
    """``search`` in the one common random order of all comparisons; ``gate`` is looked at once, at the end.

    ``duplicates_count``: samples whose input had come before; of the inputs ``contradictions_count`` came with different answers,
    of which the first drawn counts.
    """

    search: tuple[Item, ...]
    gate: tuple[Item, ...]
    duplicates_count: int = 0
    contradictions_count: int = 0

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
    return Splits(tuple(search[:search_count]), tuple(gate), len(items) - len(once), contradictions_count(items))


def group_or_self(item: Item) -> str:
    """The group of an item, or a name that no other item has."""
    return f"item {item.id}" if item.group is None else f"group {item.group}"


def item_id(text: str) -> str:
    """The digest of an input, the same whatever its case, spacing and outer punctuation."""
    return hashlib.sha256(text_key(text).encode()).hexdigest()[:24]


def items_digest(items: Sequence[Item]) -> str:
    """The digest of inputs, answers and groups in their order: another answer in the data is another run."""
    rows = ([item.id, item.input, item.expected, item.given, item.group] for item in items)
    return hashlib.sha256("\n".join(map(json.dumps, rows)).encode()).hexdigest()


def contradictions_count(items: Sequence[Item]) -> int:
    """How many inputs came with different answers.

    >>> contradictions_count(read_items([{"input": "nice", "expected": said} for said in ("yes", "Yes", "no")]))
    1
    """
    answers: dict[str, set[str]] = {}
    for item in items:
        answers.setdefault(item.id, set()).add(answer_key(item.expected))
    return sum(len(found) > 1 for found in answers.values())


def closed_labels(items: Sequence[Item]) -> tuple[str, ...]:
    """The answers, sorted, if they are a small closed set; else nothing. Spellings of one answer are one: the usual one.

    >>> closed_labels(read_items([{"input": str(i), "expected": ("yes", "no", "No ", "no")[i % 4]} for i in range(9)]))
    ('no', 'yes')
    """
    labels = sorted(usual_spellings(item.expected for item in items).values())
    few = 2 <= len(labels) <= min(LABELS_COUNT_MAX, max(2, len(items) // 3))
    return tuple(labels) if few and all(0 < len(label) <= LABEL_CHARS_MAX for label in labels) else ()


def spelled_once(items: Sequence[Item], labels: Sequence[str] | None = None) -> list[Item]:
    """The items with each label in one spelling: that of ``labels``, or the usual one where they are None. Texts stay as they are.

    An answer is right whatever its case and punctuation, so that spellings of it are no labels of their own; as such they would
    take each other's probability, and none of them could be read out of an answer.

    >>> [item.expected for item in spelled_once(read_items([{"input": said, "expected": said[0]} for said in "YyyNn"]))]
    ['y', 'y', 'y', 'N', 'N']
    """
    wanted = closed_labels(items) if labels is None else labels
    spelled = usual_spellings(wanted)
    return [_spelled(item, spelled.get(answer_key(item.expected), item.expected)) for item in items]


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
    metadata, given = dict(sample.get("metadata") or {}), str(expected)
    item = Item(item_id(text), text, given, metadata, _group(sample.get("group")))
    return _spelled(item, given.strip())


def _spelled(item: Item, expected: str) -> Item:
    if expected == item.expected:
        return item
    return replace(item, expected=expected, given=item.expected if item.given is None else item.given)


def _group(said: Any) -> str | None:
    # A loader of somebody's own may leave what tables have where nothing is: a blank, or NaN.
    is_missing = said is None or (isinstance(said, float) and math.isnan(said))
    return None if is_missing else str(said).strip() or None
