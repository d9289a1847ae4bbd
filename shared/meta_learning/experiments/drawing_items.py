"""Items for a comparison: a pool to search and to gate on, and test items that no arm ever sees before it is judged."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from meta_learning.errors import CallerError, MalformedDataset
from meta_learning.experiments.predictions import item_key

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
    """``pool``: for searching and gating, and what a fine-tuned model learns from. ``test`` is empty where there are too few."""

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


async def draw(loader: Any, wanted: Wanted, seed: int) -> Items:
    """Items from a data set's loader (an object with ``get_samples``, or a function of a count).

    Equal inputs are one item. Which items are for testing depends on ``seed`` and on their content, never on their order.

    Raises:
        MalformedDataset: the loader gives no usable samples.
    """
    load: Loader = (lambda n: loader.get_samples(n, seed=seed)) if hasattr(loader, "get_samples") else loader
    samples = await _as_many_as_there_are(load, wanted)
    unique = {item_key(sample): dict(sample) for sample in samples if _is_usable(sample)}
    if not unique:
        raise MalformedDataset("the loader gave no samples with an input and an expected answer")
    ordered = [unique[key] for key in sorted(unique, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())]
    test_count = _test_count(len(ordered), wanted)
    pool = ordered[test_count : test_count + wanted.search + wanted.gate]
    return Items(tuple(pool), tuple(ordered[:test_count]))


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
