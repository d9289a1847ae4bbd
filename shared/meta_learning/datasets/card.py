"""A data set's card: how much there is, of what, and what to beware of, before anything is concluded from it.

>>> from meta_learning.datasets.sentiment140 import Sentiment140Loader
>>> card = card_of("sentiment140", Sentiment140Loader())
>>> card.rows, card.labels
(212, {'negative': 106, 'positive': 106})
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from meta_learning.datasets.base import BaseDatasetLoader
from meta_learning.datasets.spelling import answer_key, text_key, usual_spellings

LABELS_MAX = 30
TEST_SHARE = 0.2
EXAMPLES_COUNT = 3
EXAMPLE_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Groups:
    """Of users, threads or sources: how many, how large, and what drawing item by item would do to them.

    ``leaking``: the share of items of a fifth drawn for testing, whatever their group, that would have others of their group
    on the other side (expected). ``shared_inputs``: inputs that several groups have; each is one item, of one of them.
    """

    count: int
    largest: int
    median: int
    alone: int
    ungrouped: int
    shared_inputs: int
    leaking: float

    def as_lines(self, rows: int) -> list[str]:
        """For people."""
        share = self.largest / rows
        lines = [
            f"- {self.count:,} groups of {self.median:,} items in the middle; the largest has {self.largest:,} ({share:.1%}), "
            f"{self.alone:,} have one; splits keep each on one side"
        ]
        if self.ungrouped:
            lines += [f"- {self.ungrouped:,} items have no group: each stands for itself"]
        if self.shared_inputs:
            lines += [f"- {self.shared_inputs:,} inputs are found in several groups: each is one item, of one of them"]
        return [
            *lines,
            f"- drawn item by item, {self.leaking:.0%} of the items to test on would have others of their group outside",
        ]


@dataclass(frozen=True, slots=True)
class Card:
    """Counts and lengths in characters. ``labels`` is None where answers are free text (more than 30 different ones).

    Inputs and answers are the same whatever their case, spacing and outer punctuation, as in a run; a label has its usual spelling.
    ``contradictions``: inputs that stand there with different answers. ``respelled``: answers that have another spelling of
    a label, by how they stand there. ``sha256``: over all items in the order of the source.
    ``groups``: None where no item has one.
    """

    name: str
    rows: int
    sha256: str
    distinct_inputs: int
    contradictions: int
    labels: Mapping[str, int] | None
    distinct_answers: int
    input_chars: Mapping[str, int]
    answer_chars: Mapping[str, int]
    fields: Mapping[str, int]
    examples: Sequence[Mapping[str, str]]
    groups: Groups | None = None
    respelled: Mapping[str, int] = field(default_factory=dict)

    @property
    def majority(self) -> float:
        """What an arm gets that always gives the most frequent answer."""
        return max(self.labels.values()) / self.rows if self.labels else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"majority": self.majority if self.labels else None}

    def as_markdown(self) -> str:
        """For people."""
        lines = [f"# {self.name}", "", f"- {self.rows:,} items, SHA-256 `{self.sha256}`"]
        repeated = self.rows - self.distinct_inputs
        lines += [
            f"- {self.distinct_inputs:,} different inputs" + (f"; {repeated:,} rows repeat one" if repeated else "")
        ]
        if self.contradictions:
            stand = "input stands" if self.contradictions == 1 else "inputs stand"
            lines += [
                f"- **{self.contradictions:,} {stand} there with different answers: in a run one of them counts**"
            ]
        lines += [f"- inputs: {_said(self.input_chars)}", f"- answers: {_said(self.answer_chars)}"]
        if self.labels is None:
            lines += [f"- {self.distinct_answers:,} different answers: free text"]
        else:
            shares = [f"{label} {count:,} ({count / self.rows:.1%})" for label, count in self.labels.items()]
            lines += [f"- labels: {', '.join(shares)}; always the most frequent one: {self.majority:.3f}"]
        if self.respelled:
            said = ", ".join(f"{answer!r} ({count:,})" for answer, count in self.respelled.items())
            lines += [f"- **labels in several spellings, which count as the labels above: {said}**"]
        if self.distinct_answers == 1:
            lines += ["- **every answer is the same: whatever always says so is right, and nothing can be told apart**"]
        if self.groups is not None:
            lines += self.groups.as_lines(self.rows)
        if self.fields:
            lines += ["- further columns: " + ", ".join(f"{name} ({count:,})" for name, count in self.fields.items())]
        lines += ["", "## The first items", ""]
        lines += [f"- {_cut(one['input'])} → **{_cut(one['expected'])}**" for one in self.examples]
        return "\n".join(lines) + "\n"


def card_of(name: str, loader: BaseDatasetLoader) -> Card:
    """The card of everything that ``loader`` has.

    Raises:
        MalformedDataset, NotFound: as the loader's own.
    """
    answers, digest = defaultdict[str, set[str]](set), hashlib.sha256()
    spelled, fields, lengths = Counter[str](), Counter[str](), list[tuple[int, int]]()
    examples, members = list[dict[str, str]](), list[tuple[str, str | None]]()
    for item in loader.load_data():
        sample = loader.format_sample(item)
        asked, expected = str(sample["input"]), str(sample["expected"])
        digest.update(json.dumps([asked, expected], ensure_ascii=False).encode("utf-8", errors="replace") + b"\n")
        answers[text_key(asked)].add(answer_key(expected))
        spelled[expected] += 1
        members.append((text_key(asked), sample.get("group")))
        # "row" is where a loader found the item: no column of the data.
        fields.update(key for key, value in sample.get("metadata", {}).items() if value is not None and key != "row")
        lengths.append((len(asked), len(expected)))
        if len(examples) < EXAMPLES_COUNT:
            examples.append({"input": asked, "expected": expected})
    asked_chars, answer_chars = (sorted(column) for column in zip(*lengths, strict=True)) if lengths else ([], [])
    usual = usual_spellings(spelled.elements())
    labels = Counter[str]()
    for answer, count in spelled.items():
        labels[usual[answer_key(answer)]] += count
    are_labels = len(labels) <= LABELS_MAX
    return Card(
        name=name,
        rows=len(lengths),
        sha256=digest.hexdigest(),
        distinct_inputs=len(answers),
        contradictions=sum(len(found) > 1 for found in answers.values()),
        labels=dict(sorted(labels.items())) if are_labels else None,
        distinct_answers=len(labels),
        input_chars=_spread(asked_chars),
        answer_chars=_spread(answer_chars),
        fields=dict(fields),
        examples=examples,
        groups=_groups(members),
        respelled={answer: count for answer, count in spelled.items() if answer not in labels} if are_labels else {},
    )


def _groups(members: Sequence[tuple[str, str | None]]) -> Groups | None:
    sizes = Counter(group for _, group in members if group is not None)
    if not sizes:
        return None
    owners = defaultdict[str, set[str]](set)
    for asked, group in members:
        if group is not None:
            owners[asked].add(group)
    ordered = sorted(sizes.values())
    # An item leaks unless all others of its group are drawn with it.
    leaking = sum(size * (1 - TEST_SHARE ** (size - 1)) for size in ordered)
    return Groups(
        count=len(sizes),
        largest=ordered[-1],
        median=ordered[len(ordered) // 2],
        alone=sum(size == 1 for size in ordered),
        ungrouped=len(members) - sum(ordered),
        shared_inputs=sum(len(found) > 1 for found in owners.values()),
        leaking=leaking / len(members),
    )


def _spread(ordered: Sequence[int]) -> dict[str, int]:
    if not ordered:
        return {"least": 0, "median": 0, "most": 0}
    return {"least": ordered[0], "median": ordered[len(ordered) // 2], "most": ordered[-1]}


def _said(spread: Mapping[str, int]) -> str:
    return f"{spread['least']:,} to {spread['most']:,} characters, half of them up to {spread['median']:,}"


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= EXAMPLE_CHARS_MAX else plain[:EXAMPLE_CHARS_MAX] + "…"
