"""What an operator asks of a running system: ``lag``, ``dead-letters``, ``replay ID …``, ``versions LOOP``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from meta_learning.cli.printing import printed, refuse, table_of
from meta_learning.errors import BrokerUnavailable, MetaLearningError, NotFound
from meta_learning.registry.store import FileStore
from meta_learning.registry.versions import lineage
from meta_learning.streams import Log
from meta_learning.streams.embedded import socket_path
from meta_learning.streams.opening import open_log

Url = Annotated[str, typer.Option("--redis-url", envvar="REDIS_URL", help="The broker of the event log.")]
Partitions = Annotated[int, typer.Option(envvar="META_LEARNING_PARTITIONS_COUNT", help="As stored at first start.")]
Data = Annotated[Path, typer.Option(envvar="META_LEARNING_DATA_FOLDER", help="Where the artifacts are kept.")]
DEFAULT_URL, DEFAULT_DATA = "redis://127.0.0.1:6379/0", Path("data/meta_learning")
_T = TypeVar("_T")


def lag(redis_url: Url = DEFAULT_URL, partitions: Partitions = 4, data_folder: Data = DEFAULT_DATA) -> None:
    """How far every reader is behind, by partition and stream, with the age of its oldest entry."""
    table = table_of("role", "partition", "stream", "entries behind", "oldest, s")
    for item in _ask(found_broker(redis_url, data_folder), partitions, lambda log: log.lags()):
        table.add_row(
            item.role, str(item.partition), item.stream, f"{item.entries_count:,}", f"{item.oldest_age_s:.1f}"
        )
    printed(table)


def dead_letters(
    redis_url: Url = DEFAULT_URL, partitions: Partitions = 4, count: int = 100, data_folder: Data = DEFAULT_DATA
) -> None:
    """The entries that could not be read: what they are called, who parked them and why."""
    table = table_of("id", "stream", "entry", "parked by", "reason")
    for letter in _ask(found_broker(redis_url, data_folder), partitions, lambda log: log.dead_letters(count)):
        table.add_row(letter.id, letter.source.stream, letter.source.id, letter.role, letter.reason)
    printed(table)


def replay(
    ids: list[str], redis_url: Url = DEFAULT_URL, partitions: Partitions = 4, data_folder: Data = DEFAULT_DATA
) -> None:
    """Put parked entries back on their streams (after the cause is mended)."""
    known = {
        letter.id
        for letter in _ask(found_broker(redis_url, data_folder), partitions, lambda log: log.dead_letters(100_000))
    }
    if unknown := [name for name in ids if name not in known]:
        refuse(NotFound(f"no dead letter {', '.join(unknown)}: `meta-learning dead-letters` lists them"))
    typer.echo(
        f"replayed {_ask(found_broker(redis_url, data_folder), partitions, lambda log: log.replay(ids))} of {len(ids)}"
    )


def versions(
    loop: str, redis_url: Url = DEFAULT_URL, partitions: Partitions = 4, data_folder: Data = DEFAULT_DATA
) -> None:
    """The model that answers for LOOP now, and its ancestors."""
    pointer = _ask(found_broker(redis_url, data_folder), partitions, lambda log: log.pointer(loop, "model"))
    if pointer is None:
        refuse(NotFound(f"loop {loop!r} has no model yet: one is promoted once it beats the constant predictor"))
    table = table_of("version", "cycle", "gain", "made with")
    try:
        manifests = list(lineage(FileStore(data_folder / "registry"), pointer))
    except MetaLearningError as error:
        refuse(error)
    if not manifests:
        refuse(NotFound(f"no artifact under {data_folder}: set META_LEARNING_DATA_FOLDER to the system's folder"))
    for manifest in manifests:
        gain = manifest.numbers.get("gain")
        made = ", ".join(f"{name} {version}" for name, version in manifest.made_with.items())
        table.add_row(manifest.version[:16], str(manifest.cycle or ""), "" if gain is None else f"{gain:+.4f}", made)
    printed(table)


def _ask(url: str, partitions: int, question: Callable[[Log], Awaitable[_T]]) -> _T:
    async def asked() -> _T:
        log = open_log(url, partitions)
        try:
            await log.start()
            return await question(log)
        finally:
            await log.close()

    try:
        return asyncio.run(asked())
    except BrokerUnavailable as error:
        refuse(BrokerUnavailable(f"{error} Is the system running here (`make up`)? Else give --redis-url."))
    except MetaLearningError as error:
        refuse(error)


def found_broker(url: str, data: Path) -> str:
    """The given broker, or the embedded one of `make up` where none was given."""
    embedded = socket_path((data / "broker").absolute())
    return f"unix://{embedded}" if url == DEFAULT_URL and embedded.exists() else url


def add_to(app: typer.Typer, panel: str) -> None:
    """Add these commands, under this heading of its help."""
    for name, command in (("lag", lag), ("dead-letters", dead_letters), ("replay", replay), ("versions", versions)):
        app.command(name, rich_help_panel=panel)(command)
