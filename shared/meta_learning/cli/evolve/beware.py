"""What is told of the data before anything is spent: what would make a good score mean less than it seems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from meta_learning.acla.splits import Item, Splits, contradictions_count
from meta_learning.datasets.spelling import answer_key

SHOWN_COUNT = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """The rows of a data set that were looked at, and how many different inputs the whole of it probably has."""

    items: Sequence[Item]
    rows_count: int

    @property
    def available(self) -> int:
        """Different inputs: only these can be searched or decided on."""
        return self._distinct_count * self.rows_count // max(1, len(self.items))

    @property
    def _distinct_count(self) -> int:
        return len({item.id for item in self.items})

    def beware(self, parts: Splits, labels: Sequence[str]) -> list[str]:
        """One line for each thing to know; ``parts`` are what is searched and decided on, ``labels`` the answers that there are."""
        return [
            *_alike((*parts.search, *parts.gate)),
            *self._repeated(),
            *self._contradicting(),
            *_respelled(self.items, labels),
        ]

    def _repeated(self) -> list[str]:
        distinct, looked = self._distinct_count, len(self.items)
        if distinct == looked:
            return []
        rows = f"{looked:,} rows" if looked == self.rows_count else f"the first {looked:,} rows"
        return [
            f"{rows} have {_counted(distinct, 'different input')} (whatever case and punctuation): each counts once"
        ]

    def _contradicting(self) -> list[str]:
        if not (count := contradictions_count(self.items)):
            return []
        stands = "stands" if count == 1 else "stand"
        return [
            f"{_counted(count, 'input')} {stands} there with different answers: one of them counts, whichever is drawn first"
        ]


def _alike(items: Sequence[Item]) -> list[str]:
    if len({answer_key(item.expected) for item in items}) != 1:
        return []
    return [f"every item expects {items[0].expected!r}: whatever always says so is right"]


def _respelled(items: Sequence[Item], labels: Sequence[str]) -> list[str]:
    """Labels in several spellings; texts may differ as they like."""
    usual = {answer_key(label): label for label in labels}
    others = Counter(
        (item.expected, wanted)
        for item in items
        if (wanted := usual.get(answer_key(item.expected), item.expected)) != item.expected
    )
    if not others:
        return []
    shown = [f"{said!r} ({count:,}) as {wanted!r}" for (said, wanted), count in others.most_common(SHOWN_COUNT)]
    more = f", and {len(others) - SHOWN_COUNT} more" if len(others) > SHOWN_COUNT else ""
    return [f"answers that differ in spelling only are one: {', '.join(shown)}{more}"]


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
