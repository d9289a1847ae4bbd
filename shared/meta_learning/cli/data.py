"""Data sets by command: ``data card DATA`` says what is in one, ``data feedback LOOP`` makes one of a loop's feedback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from meta_learning.cli.operations import DEFAULT_DATA, DEFAULT_URL, Data, Partitions, Url, found_broker
from meta_learning.cli.printing import refuse, with_option
from meta_learning.datasets import FeedbackLoader, open_dataset
from meta_learning.datasets.card import card_of
from meta_learning.datasets.recorded import archived_feedback, feedback_of
from meta_learning.errors import BrokerUnavailable, CallerError, MalformedEvent, MetaLearningError, NotFound
from meta_learning.events import FeedbackReceived
from meta_learning.streams import partition_of
from meta_learning.streams.opening import open_log
from meta_learning.utils.lines import write_whole

app = typer.Typer(no_args_is_help=True, help="Data sets: what is in one, and one of a loop's own feedback.")
To = Annotated[Path | None, typer.Option(help="A file; default: the screen.")]
Column = Annotated[str, typer.Option(help="Of a table.")]


@app.command()
def card(
    data: Annotated[
        str, typer.Argument(help="A name, a CSV, TSV, JSONL or Parquet file, or hub:REPOSITORY[:SPLIT[:CONFIG]].")
    ],
    input_column: Column = "input",
    expected_column: Column = "expected",
    group_column: Annotated[
        str | None, typer.Option(help="Of the user, thread or source: how many there are, and what would leak.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers instead of prose.")] = False,
    to: To = None,
) -> None:
    """How much DATA has, of what, and what to beware of: repeated inputs, contradictions, the most frequent answer."""
    try:
        loader = open_dataset(data, input=input_column, expected=expected_column, group=group_column)
        found = card_of(data, loader)
        text = json.dumps(found.as_dict(), ensure_ascii=False, indent=2) + "\n" if as_json else found.as_markdown()
        _put(text, to)
    except MetaLearningError as error:
        refuse(with_option(error))


@app.command()
def feedback(
    loop: str,
    to: To = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time, UTC.")] = None,
    version: Annotated[str | None, typer.Option(help="Only answers of this prompt or model version.")] = None,
    score_min: Annotated[
        float, typer.Option(min=0, max=1, help="The least score of an answer that is worth copying.")
    ] = 0.7,
    group: Annotated[
        str | None,
        typer.Option(help="Write a column `group`: user, or a field of the feedback's metadata (a session, a thread)."),
    ] = None,
    events: Annotated[
        bool, typer.Option(help="All feedback as events, as `off-policy` reads it; no answer is chosen.")
    ] = False,
    redis_url: Url = DEFAULT_URL,
    partitions: Partitions = 4,
    data_folder: Data = DEFAULT_DATA,
) -> None:
    """LOOP's feedback as a data set: of each input the best-liked answer, a JSON line each, as `evolve` and studies read it.

    The broker has what is recent, the data folder's archive what was trimmed; both are read.
    """
    try:
        found = list(_recorded(loop, found_broker(redis_url, data_folder), partitions, data_folder))
        if not found:
            raise NotFound(f"loop {loop!r} has no feedback here; --data-folder and --redis-url say where to look")
        loader = FeedbackLoader(
            found,
            loop=loop,
            score_min=0.0 if events else score_min,
            since=_utc(since),
            until=_utc(until),
            version=version,
            group=group,
        )
        rows = loader.wanted() if events else [loader.format_sample(item) for item in loader.load_data()]
        lines = [_line(row) for row in rows]
        if not lines:
            raise CallerError(f"none of {len(found):,} pieces of feedback passes the filters")
        _put("".join(lines), to, f"{len(lines):,} of {len(found):,} pieces of feedback")
    except MetaLearningError as error:
        refuse(error)


def _line(row: FeedbackReceived | dict[str, Any]) -> str:
    if isinstance(row, FeedbackReceived):
        return row.encode().decode() + "\n"
    flat = {"input": row["input"], "expected": row["expected"], "group": row.get("group"), **row["metadata"]}
    return json.dumps({name: value for name, value in flat.items() if value is not None}, ensure_ascii=False) + "\n"


def _recorded(loop: str, url: str, partitions: int, data_folder: Path) -> Iterator[FeedbackReceived]:
    """Archive and stream of the loop's partition, each event once."""
    partition, seen = partition_of(loop, partitions), set[str]()
    for part in (archived_feedback(data_folder, partition), _streamed(url, partition, partitions)):
        for event in part:
            if event.loop == loop and event.event_id not in seen:
                seen.add(event.event_id)
                yield event


def _streamed(url: str, partition: int, partitions: int) -> Iterator[FeedbackReceived]:
    try:
        lines = asyncio.run(_entries(url, partition, partitions))
    except BrokerUnavailable as error:
        typer.echo(f"meta-learning: without what is still in the broker: {error}", err=True)
        return
    for line in lines:
        try:
            yield from feedback_of([line])
        except MalformedEvent:  # the trainer has parked it: see `dead-letters`
            continue


async def _entries(url: str, partition: int, partitions: int) -> list[str]:
    log, found, after = open_log(url, partitions), list[str](), "0-0"
    try:
        await log.start()
        while entries := await log.entries(partition, "feedback", after):
            found += [
                json.dumps({"type": entry.type, "body": entry.body.decode(errors="replace")}) for entry in entries
            ]
            after = entries[-1].id
    finally:
        await log.close()
    return found


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)


def _put(text: str, to: Path | None, what: str = "") -> None:
    if to is None:
        typer.echo(text, nl=False)
        return
    write_whole(to, text.encode("utf-8", errors="replace"))
    typer.echo(f"{what or f'{len(text.encode()):,} bytes'} in {to}")
