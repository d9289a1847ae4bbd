"""The items of a run, drawn from whatever gives samples: different inputs, each label in one spelling."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from meta_learning.acla.asking import stream
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.grouping import GROUPS_COUNT_MIN, groups_wanted
from meta_learning.acla.splits import Item, Splits, closed_labels, group_or_self, read_items, spelled_once, split
from meta_learning.datasets.spelling import usual_spellings
from meta_learning.errors import CallerError, MalformedDataset

DatasetLoader = Callable[[int], Sequence[Any] | Awaitable[Sequence[Any]]]
GATE_COUNT_MIN = 20
# How a loader says that it has not so many.
REFUSALS = (ValueError, LookupError, CallerError)
# Where inputs repeat, four times as many rows are drawn, so often at most.
TOPPING_UP, TIMES_MAX = 4, 3


async def draw(loader: DatasetLoader, count: int, config: CurriculumConfig) -> Splits:
    """Search and gate items; a smaller gate, or none, where the loader cannot supply enough.

    Rows that repeat an input take no other's place: more are drawn, as far as there are any.

    Raises:
        CallerError: ``count`` is below 1, or the items have groups too few or too large to divide; the message says what to do.
        MalformedDataset: the loader gives no usable samples.
    """
    if count < 1:
        raise CallerError(f"num_samples is {count}; it must be at least 1")
    wanted = count + (config.gate_samples if config.gate_samples >= GATE_COUNT_MIN else 0)
    items = await _different(loader, count, wanted)
    if not items:
        raise MalformedDataset(f"the loader gave no samples of {config.dataset_name!r}")
    parts = split(items, count, stream(config.seed, "split"))
    if parts.groups_counts:
        _check_groups(items, parts, count)
    gate = parts.gate if len(parts.gate) >= GATE_COUNT_MIN else ()
    # Out of these, and of none that were dropped: so whoever asks again which labels the run has hears the same.
    labels = labels_of(config, (*parts.search, *gate))
    search, gate = (tuple(spelled_once(part, labels)) for part in (parts.search, gate))
    return replace(parts, search=search, gate=gate)


def labels_of(config: CurriculumConfig, items: Sequence[Item]) -> tuple[str, ...]:
    """Which answers there are, each in one spelling: those that were said, else those of ``items`` where they are few.

    None where the answers are texts, as judged ones are.

    >>> wanted = CurriculumConfig("Judge it.", "mail", labels=["Yes ", "yes", "Yes", "no"])
    >>> labels_of(wanted, []), labels_of(CurriculumConfig("Reply.", "mail", judge=""), [])
    (('Yes', 'no'), ())
    """
    if config.judge is not None:
        return ()
    if config.labels is None:
        return closed_labels(items)
    return tuple(sorted(usual_spellings(config.labels).values()))


def unknown_answer(config: CurriculumConfig, items: Sequence[Item]) -> str | None:
    """An answer that one of the drawn ``items`` expects, though it is none of the labels that were said; None: there is none."""
    if not config.labels:
        return None
    return min({item.expected for item in items} - set(labels_of(config, items)), default=None)


def _check_groups(items: Sequence[Item], parts: Splits, count: int) -> None:
    """Enough items for a gate, but none can be had without cutting through a group: that is for the caller to decide."""
    asked = len(items) - parts.duplicates_count - count
    _, groups_count = parts.groups_counts or (0, 0)
    few = len(parts.gate) < GATE_COUNT_MIN or groups_count < GROUPS_COUNT_MIN
    if asked >= GATE_COUNT_MIN and few:
        once = {item.id: item for item in items}.values()
        sizes = Counter(group_or_self(item) for item in once)
        raise CallerError(groups_wanted(sizes, f"{GATE_COUNT_MIN} items to decide on besides {count} to search on"))


async def _different(loader: DatasetLoader, count: int, wanted: int) -> list[Item]:
    """Rows with ``wanted`` different inputs, or as many as there are; ``count`` where what is left makes no gate."""
    asked, items = wanted, read_items(await _most(loader, count, wanted))
    for _ in range(TIMES_MAX):
        if len(items) < asked or _distinct_count(items) >= wanted:
            break
        asked *= TOPPING_UP
        items = read_items(await _most(loader, len(items), asked))
    enough = count if _distinct_count(items) < count + GATE_COUNT_MIN else wanted
    return _beginning(items, enough)


def _distinct_count(items: Sequence[Item]) -> int:
    return len({item.id for item in items})


def _beginning(items: Sequence[Item], distinct_count: int) -> list[Item]:
    """The first rows, up to the one that brings the last of so many different inputs."""
    seen = set[str]()
    for place, item in enumerate(items, start=1):
        seen.add(item.id)
        if len(seen) == distinct_count:
            return list(items[:place])
    return list(items)


async def _most(loader: DatasetLoader, least: int, most: int) -> Sequence[Any]:
    """What a loader gives of the largest number up to ``most`` that it does not refuse; it must not refuse ``least``."""
    try:
        return await _loaded(loader, most)
    except REFUSALS:
        if most <= least:
            raise
    samples = await _loaded(loader, least)
    while most - least > 1:
        middle = (least + most) // 2
        try:
            samples, least = await _loaded(loader, middle), middle
        except REFUSALS:
            most = middle
    return samples


async def _loaded(loader: DatasetLoader, count: int) -> Sequence[Any]:
    samples = loader(count)
    return await samples if inspect.isawaitable(samples) else samples
