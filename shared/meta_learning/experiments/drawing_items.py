"""Items for a comparison: a pool to search and to gate on, and test items that no arm ever sees before it is judged."""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meta_learning.acla.grouping import GROUPS_COUNT_MIN, groups_wanted, whole_groups
from meta_learning.datasets.groups import group_of
from meta_learning.datasets.spelling import answer_key
from meta_learning.errors import CallerError, MalformedDataset
from meta_learning.experiments.predictions import item_key, labels_of

TEST_COUNT_MIN = 20
GATE_COUNT_MIN = 20
Loader = Callable[[int], Sequence[Any] | Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many items of each kind."""

    search: int
    gate: int
    test: int


@dataclass(frozen=True, slots=True)
class Items:
    """``pool``: for searching and gating, and what a fine-tuned model learns from. ``test`` is empty where there are too few.

    Where items have groups, no group is in both.
    """

    pool: tuple[dict[str, Any], ...]
    test: tuple[dict[str, Any], ...]

    def load(self, count: int) -> list[dict[str, Any]]:
        """The pool as a loader.

        Raises:
            CallerError: the pool is smaller.
        """
        if count > len(self.pool):
            raise CallerError(f"asked for {count} samples, {len(self.pool)} are available")
        return list(self.pool[:count])

    def labelled(self, count: int | None) -> Items:
        """With the first ``count`` items of the pool only; None for all.

        Raises:
            CallerError: the pool is smaller.
        """
        if count is None:
            return self
        if count > len(self.pool):
            there = f"{len(self.pool)} besides the {len(self.test)} to test on"
            raise CallerError(f"{count} labelled items to learn from are wanted, and there are {there}")
        return Items(self.pool[:count], self.test)

    @property
    def groups_counts(self) -> dict[str, int] | None:
        """How many groups each part has; None where no item has one. An item without a group stands for itself."""
        if all(group_of(sample) is None for sample in (*self.pool, *self.test)):
            return None
        return {name: len({_group(one) for one in part}) for name, part in (("pool", self.pool), ("test", self.test))}


async def draw(loader: Any, wanted: Wanted, seed: int) -> Items:
    """Items from a data set's loader (an object with ``get_samples``, or a function of a count).

    Equal inputs are one item, and spellings of one label are one label. Which items are for testing depends on ``seed`` and on
    their content, never on their order; where samples have groups, on the groups' names: whole groups are for testing, as long
    as they fit.

    Raises:
        MalformedDataset: the loader gives no usable samples.
        CallerError: there are groups, too few or too large for a part to test on; the message says what to do.
    """
    load: Loader = (lambda n: loader.get_samples(n, seed=seed)) if hasattr(loader, "get_samples") else loader
    samples = await _as_many_as_there_are(load, wanted)
    # An input of several groups is the same one's whatever their order, which another seed's draw changes.
    usable = sorted(filter(_is_usable, samples), key=lambda sample: str(sample.get("group", "")))
    unique = {item_key(sample): dict(sample) for sample in usable}
    if not unique:
        raise MalformedDataset("the loader gave no samples with an input and an expected answer")
    ordered = _spelled_once([unique[key] for key in sorted(unique, key=lambda key: _place(seed, key))])
    test, rest = _divided(ordered, _test_count(len(ordered), wanted), seed)
    return Items(tuple(rest[: wanted.search + wanted.gate]), tuple(test))


def _spelled_once(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """With each label in its usual spelling; answers that are texts stay as they are."""
    spelled = {answer_key(label): label for label in labels_of(samples)}
    usual = [spelled.get(answer_key(said := str(sample["expected"])), said) for sample in samples]
    pairs = zip(samples, usual, strict=True)
    return [sample if said == str(sample["expected"]) else {**sample, "expected": said} for sample, said in pairs]


def _divided(
    ordered: Sequence[dict[str, Any]], count: int, seed: int
) -> tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]:
    if all(group_of(sample) is None for sample in ordered):
        return ordered[:count], ordered[count:]
    test, rest = whole_groups(ordered, _group, count, lambda group: _place(seed, group))
    if count and (len(test) < TEST_COUNT_MIN or len({_group(one) for one in test}) < GROUPS_COUNT_MIN):
        raise CallerError(groups_wanted(Counter(map(_group, ordered)), f"{TEST_COUNT_MIN} to {count} items to test on"))
    return test, rest


def _place(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _group(sample: Mapping[str, Any]) -> str:
    """Of one that has none, a name that no other item has."""
    group = group_of(sample)
    return f"item {item_key(sample)}" if group is None else f"group {group}"


def _test_count(available: int, wanted: Wanted) -> int:
    """Searching comes first; what is left is shared in proportion by gate and test, or left to the gate if it is too little."""
    left = available - wanted.search
    share = wanted.test * left // max(1, wanted.gate + wanted.test)
    count = min(wanted.test, max(share, min(TEST_COUNT_MIN, left - GATE_COUNT_MIN)))
    return count if count >= min(TEST_COUNT_MIN, wanted.test) else 0


async def _as_many_as_there_are(load: Loader, wanted: Wanted) -> Sequence[Any]:
    extra = wanted.gate + wanted.test
    while extra > 0:
        try:
            return await _loaded(load, wanted.search + extra)
        except (ValueError, LookupError, CallerError):
            extra = extra * 4 // 5
    return await _loaded(load, wanted.search)


async def _loaded(load: Loader, count: int) -> Sequence[Any]:
    samples = load(count)
    return await samples if inspect.isawaitable(samples) else samples


def _is_usable(sample: Any) -> bool:
    return isinstance(sample, dict) and str(sample.get("input", "")).strip() != "" and "expected" in sample
