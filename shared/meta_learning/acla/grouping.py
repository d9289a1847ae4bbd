"""Parts of items that share no group: all that one user, thread or source said lies on one side, so that nothing leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

# Of five groups no sign test is ever below 0.05 (2 / 2 ** 5): a part to judge on needs one more.
GROUPS_COUNT_MIN = 6
Held = TypeVar("Held")


def whole_groups(
    items: Sequence[Held], group_of: Callable[[Held], str], count: int, place: Callable[[str], Any]
) -> tuple[list[Held], list[Held]]:
    """Two parts that share no group, each in the items' order: up to ``count`` items, and the others.

    Groups go to the first part in the order of their ``place``; what does not fit any more goes to the second, so that a group
    larger than ``count`` is never cut.

    >>> whole_groups("aabcccd", str, 3, str)
    (['a', 'a', 'b'], ['c', 'c', 'c', 'd'])
    """
    sizes, chosen = Counter(map(group_of, items)), set[str]()
    for group in sorted(sizes, key=place):
        if sizes[group] <= count:
            chosen.add(group)
            count -= sizes[group]
    first = [item for item in items if group_of(item) in chosen]
    return first, [item for item in items if group_of(item) not in chosen]


def groups_wanted(sizes: Counter[str], wanted: str) -> str:
    """What to say to somebody whose groups cannot be divided: why, and what to do.

    >>> groups_wanted(Counter(a=90, b=10), "20 items to test on").partition(";")[0]
    'no 20 items to test on, of at least 6 groups: 2 groups share 100 items, and the largest has 90 of them'
    """
    largest = max(sizes.values(), default=0)
    have = f"{len(sizes)} groups share {sizes.total()} items, and the largest has {largest} of them"
    advice = "take more data, smaller numbers of items, or a column with more and smaller groups"
    return (
        f"no {wanted}, of at least {GROUPS_COUNT_MIN} groups: {have}; {advice} "
        "(without one, items of a group lie on both sides)"
    )
