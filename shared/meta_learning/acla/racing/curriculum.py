"""The curriculum: which items a newcomer is asked first. Those that tell prompts apart, without leaning to either side.

Items fall into strata by how often prompts disagreed on them; items that disagree more are asked sooner (Neyman, 1934), and each
answer counts for the items that it was drawn to stand for. Within a stratum the order is random, so that whatever the strata
are, the estimate is unbiased for the plain mean over all items.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from meta_learning.acla.racing.shrinkage import Gain, shrunken_gain, stratified_gain
from meta_learning.acla.splits import Item

STRATA_COUNT = 3
ITEMS_COUNT_MIN = 24
# What is not known yet counts like this many answers with this spread.
PRIOR_COUNT = 1.0


@dataclass(frozen=True, slots=True)
class Course:
    """An order of items, frozen before anybody is asked along it. ``stratum_of`` covers the items of its first part."""

    items: tuple[Item, ...]
    stratum_of: Mapping[str, int]

    def gain(self, differences: Mapping[str, float], rung: int) -> Gain:
        """The shrunken mean difference over the first part, estimated from ``rung`` of its items; beyond it, the plain mean."""
        asked = [item.id for item in self.items[:rung] if item.id in differences]
        if rung >= len(self.stratum_of):
            return shrunken_gain([differences[one] for one in asked])
        strata: list[list[float]] = [[] for _ in range(STRATA_COUNT)]
        for one in asked:
            strata[self.stratum_of[one]].append(differences[one])
        counts = Counter(self.stratum_of.values())
        shares = [counts[number] / len(self.stratum_of) for number in range(STRATA_COUNT)]
        return stratified_gain(list(zip(shares, strata, strict=True)))


def course(known: Sequence[Item], rest: Sequence[Item], spread: Callable[[Item], float], rng: random.Random) -> Course:
    """``known`` items by ``spread`` (the squared difference to be expected between two prompts), then ``rest`` as it stands.

    >>> from meta_learning.acla.splits import read_items
    >>> items = read_items([{"input": f"text {i}", "expected": "a"} for i in range(30)])
    >>> asked = course(items, [], lambda item: float(int(item.input.split()[1]) < 10), random.Random(0)).items[:9]
    >>> sum(int(item.input.split()[1]) < 10 for item in asked)
    7
    """
    if len(known) < ITEMS_COUNT_MIN:
        return Course((*known, *rest), {})
    strata = _strata(known, spread)
    stratum_of = {item.id: number for number, stratum in enumerate(strata) for item in stratum}
    worth = [len(stratum) * math.sqrt(_mean(spread, stratum)) for stratum in strata]
    for stratum in strata:
        rng.shuffle(stratum)
    return Course((*_interleaved(strata, worth), *rest), stratum_of)


def _interleaved(strata: Sequence[Sequence[Item]], worth: Sequence[float]) -> list[Item]:
    """One of each, then in proportion to ``worth`` (Sainte-Laguë), so that every beginning is allotted as well as can be."""
    order: list[Item] = []
    taken = [0] * len(strata)
    for _ in range(sum(map(len, strata))):
        left = (number for number in range(len(strata)) if taken[number] < len(strata[number]))
        number = max(left, key=lambda one: math.inf if not taken[one] else worth[one] / (taken[one] + 0.5))
        order.append(strata[number][taken[number]])
        taken[number] += 1
    return order


def disagreement(scores: Sequence[float], prior: float) -> float:
    """How much the scores of an item differ from prompt to prompt: their variance, with ``prior`` as one more answer's.

    >>> disagreement([1.0, 1.0, 1.0], 0.25) < disagreement([1.0], 0.25) < disagreement([1.0, 0.0, 1.0], 0.25)
    True
    """
    if not scores:
        return prior
    mean = sum(scores) / len(scores)
    return (PRIOR_COUNT * prior + sum((one - mean) ** 2 for one in scores)) / (PRIOR_COUNT + len(scores))


def _strata(items: Sequence[Item], spread: Callable[[Item], float]) -> list[list[Item]]:
    """Thirds, least spread first; ties by id, so that the order of the items does not matter."""
    ordered = sorted(items, key=lambda item: (spread(item), item.id))
    size = math.ceil(len(ordered) / STRATA_COUNT)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _mean(spread: Callable[[Item], float], stratum: Sequence[Item]) -> float:
    # Nothing is so clear that it is never asked: a tenth of the largest spread that scores in [0, 1] can have.
    return max(0.025, sum(map(spread, stratum)) / len(stratum))
