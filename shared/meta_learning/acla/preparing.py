"""The items of a run, drawn from whatever gives samples."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from meta_learning.acla.asking import stream
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.grouping import GROUPS_COUNT_MIN, groups_wanted
from meta_learning.acla.splits import Item, Splits, group_or_self, read_items, split
from meta_learning.errors import CallerError, MalformedDataset

DatasetLoader = Callable[[int], Sequence[Any] | Awaitable[Sequence[Any]]]
GATE_COUNT_MIN = 20


async def draw(loader: DatasetLoader, count: int, config: CurriculumConfig) -> Splits:
    """Search and gate items; a smaller gate, or none, where the loader cannot supply enough.

    Raises:
        CallerError: ``count`` is below 1, or the items have groups too few or too large to divide; the message says what to do.
        MalformedDataset: the loader gives no usable samples.
    """
    if count < 1:
        raise CallerError(f"num_samples is {count}; it must be at least 1")
    samples = await _as_many_as_there_are(loader, count, config.gate_samples)
    items = read_items(samples)[: count + config.gate_samples]
    if not items:
        raise MalformedDataset(f"the loader gave no samples of {config.dataset_name!r}")
    parts = split(items, count, stream(config.seed, "split"))
    if parts.groups_counts:
        _check_groups(items, parts, count)
    return parts if len(parts.gate) >= GATE_COUNT_MIN else Splits(parts.search, (), parts.duplicates_count)


def _check_groups(items: Sequence[Item], parts: Splits, count: int) -> None:
    """Enough items for a gate, but none can be had without cutting through a group: that is for the caller to decide."""
    asked = len(items) - parts.duplicates_count - count
    _, groups_count = parts.groups_counts or (0, 0)
    few = len(parts.gate) < GATE_COUNT_MIN or groups_count < GROUPS_COUNT_MIN
    if asked >= GATE_COUNT_MIN and few:
        once = {item.id: item for item in items}.values()
        sizes = Counter(group_or_self(item) for item in once)
        raise CallerError(groups_wanted(sizes, f"{GATE_COUNT_MIN} items to decide on besides {count} to search on"))


async def _as_many_as_there_are(loader: DatasetLoader, count: int, gate_count: int) -> Sequence[Any]:
    """A loader may refuse to give more than it has: then ask for a smaller gate, at last for none."""
    while gate_count >= GATE_COUNT_MIN:
        try:
            return await _loaded(loader, count + gate_count)
        except (ValueError, LookupError, CallerError):
            gate_count = gate_count * 2 // 3
    return await _loaded(loader, count)


async def _loaded(loader: DatasetLoader, count: int) -> Sequence[Any]:
    samples = loader(count)
    return await samples if inspect.isawaitable(samples) else samples
