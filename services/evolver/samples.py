"""The data set of a run. Live feedback is copied into the run's folder first: a resumed run must see the same items."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from meta_learning import datasets
from meta_learning.errors import CallerError, MalformedEvent
from meta_learning.events import FeedbackReceived, decode
from meta_learning.streams import START, Log, partition_of

EVENTS_COUNT_MAX = 20_000  # the newest; about 40 MB at 2 KB each


async def dataset_of(
    name: str, loop: str, log: Log, folder: Path, group: str | None = None
) -> datasets.BaseDatasetLoader:
    """The loader of data set ``name``; ``feedback`` is what the users of ``loop`` said up to the run's first start.

    ``group``: what keeps items together, such as ``user``.

    Raises:
        CallerError: nobody has said anything in this loop.
    """
    if name != "feedback":
        return datasets.load(name, group=group)
    copy = folder / "feedback.jsonl"
    if not copy.exists():
        await _copy_feedback(loop, log, copy)
    if not copy.stat().st_size:
        raise CallerError(f"loop {loop} has no feedback to learn from yet")
    return datasets.FeedbackLoader(_read(copy), loop=loop, group=group)


async def _copy_feedback(loop: str, log: Log, copy: Path) -> None:
    kept: list[bytes] = []
    async for event in _said(loop, log):
        kept.append(event.encode())
        if len(kept) > 2 * EVENTS_COUNT_MAX:
            del kept[:-EVENTS_COUNT_MAX]
    partial = copy.with_suffix(".partial")
    with partial.open("wb") as file:
        file.writelines(line + b"\n" for line in kept[-EVENTS_COUNT_MAX:])
        file.flush()
        os.fsync(file.fileno())
    partial.replace(copy)


async def _said(loop: str, log: Log) -> AsyncIterator[FeedbackReceived]:
    after, partition = START, partition_of(loop, log.partitions_count)
    while entries := await log.entries(partition, "feedback", after=after, count_max=1000):
        for entry in entries:
            try:
                event = decode(entry.body)
            except MalformedEvent:
                continue  # the trainer's fold parks it
            if isinstance(event, FeedbackReceived) and event.loop == loop:
                yield event
        after = entries[-1].id


def _read(copy: Path) -> Iterator[FeedbackReceived]:
    with copy.open("rb") as file:
        for line in file:
            yield FeedbackReceived.decode(line)
