"""The interactions of a cell: its texts in the order of its seed, each met by somebody."""

from __future__ import annotations

import random
from typing import NamedTuple

from meta_learning.errors import CallerError
from meta_learning.experiments.loading import dataset_of
from meta_learning.experiments.loops.config import LoopCell, Source
from meta_learning.experiments.loops.interactions import Interaction


class Stream(NamedTuple):
    """``passes``: how often every text comes (more than 1 where there are fewer texts than interactions)."""

    interactions: list[Interaction]
    labels: tuple[str, ...]
    liked: str
    passes: int


def stream_of(cell: LoopCell) -> Stream:
    """The stream of a cell: the same for the same cell.

    Raises:
        NotFound: no data set, or no file, has this name.
        CallerError: the texts have no two labels, or ``liked`` is none of them.
    """
    rows, passes = _labelled(cell.texts, cell.events, cell.seed)
    labels = tuple(sorted({label for _, label in rows}))
    liked = _liked(cell.texts, labels)
    draws = random.Random(f"{cell.world}-{cell.seed}")
    found = []
    strange = _strange(cell, liked, labels, draws)
    for at, (text, label) in enumerate(rows):
        progress = at / len(rows)
        text, label = strange.get(at, (text, label))
        found.append(cell.users.interaction(text, label, labels, progress, draws))
    return Stream(found, labels, liked, passes)


def _strange(cell: LoopCell, liked: str, labels: tuple[str, ...], draws: random.Random) -> dict[int, tuple[str, str]]:
    """Where foreign texts stand, with the label that they count as: liked, or another one."""
    foreign = cell.texts.foreign
    if foreign is None:
        return {}
    places = [at for at in range(round(foreign.begins * cell.events), cell.events) if draws.random() < foreign.share]
    rows, _ = _labelled(foreign, max(len(places), 1), cell.seed)
    theirs = _liked(foreign, tuple(sorted({label for _, label in rows})))
    other = next(label for label in labels if label != liked)
    return {at: (text, liked if label == theirs else other) for at, (text, label) in zip(places, rows, strict=False)}


def _labelled(source: Source, count: int, seed: int) -> tuple[list[tuple[str, str]], int]:
    loader = dataset_of(source)
    rows, passes = list[tuple[str, str]](), 0
    while len(rows) < count:
        # Each pass in an order of its own: else the second would repeat the first one's drifts.
        found = loader.get_samples(min(count - len(rows), len(loader)), seed=seed + 7919 * passes)
        rows += [(str(one["input"]), str(one["expected"])) for one in found]
        passes += 1
    return rows, passes


def _liked(source: Source, labels: tuple[str, ...]) -> str:
    if len(labels) < 2:
        raise CallerError(f"texts {source.name}: a study of preferences needs two labels or more, these have {labels}")
    if source.liked is not None and source.liked not in labels:
        raise CallerError(f"texts {source.name}: liked is {source.liked!r}, the labels are {', '.join(labels)}")
    return source.liked or labels[-1]
