"""The whole system on this machine: broker and services, started in order, one system a data folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import Field
from rich.console import Console

from meta_learning.errors import ConfigurationError
from meta_learning.serving.settings import Settings
from meta_learning.streams.embedded import EmbeddedBroker
from meta_learning.streams.opening import open_log
from services.broker import keep_alive
from services.programs import PORTS, Doors, choose_doors, programs, until_ready
from services.supervisor import Supervisor


class AllInOneSettings(Settings):
    """What this program itself needs of its children's settings; they read the rest, from the same places."""

    trainer_port: int = Field(PORTS["trainer"], ge=1, le=65535)
    monitor_port: int = Field(PORTS["monitor"], ge=1, le=65535)
    evolver_port: int = Field(PORTS["evolver"], ge=1, le=65535)
    ingest_port: int = Field(PORTS["ingest"], ge=1, le=65535)

    def ports(self) -> dict[str, int]:
        """The port that each service is to have, in the order in which they start."""
        return {service: getattr(self, f"{service}_port") for service in PORTS}


async def start(
    settings: AllInOneSettings, console: Console, stack: contextlib.AsyncExitStack, without: Collection[str] = ()
) -> Doors:
    """Start the broker (unless ``REDIS_URL`` names one) and the services but those in ``without``; ``stack`` stops them again.

    Raises:
        ConfigurationError: a setting is wrong, another system runs over this folder, or a service refuses its settings.
        BrokerUnavailable: ``REDIS_URL`` does not answer.
        TimeoutError: a service does not become ready.
    """
    started, data = time.monotonic(), settings.data_folder
    claim = stack.enter_context(_claimed(data))
    given = settings.redis_url if "redis_url" in settings.model_fields_set else ""
    url = given or await _own_broker(settings, console, stack)
    await _check_layout(url, settings)
    console.print(f"broker    {_without_password(url)}")
    doors, remarks = choose_doors({name: port for name, port in settings.ports().items() if name not in without})
    for remark in remarks:
        console.print(remark, style="yellow")
    claim.write_text(f"dashboard {doors.url('monitor')}/, process {os.getpid()}", encoding="utf-8")
    supervisor = Supervisor(data / "logs", lambda text: console.print(text, style="bold red"))
    stack.push_async_callback(supervisor.stop)
    for program in programs(doors, url, data):
        await supervisor.start(program)
    for service in doors.ports:
        await _ready_or_refused(doors, service, supervisor)
        console.print(f"{service:<9} {doors.url(service)}")
    console.print(
        f"all ready after {time.monotonic() - started:.1f} s: dashboard {doors.url('monitor')}/", style="green"
    )
    return doors


@contextlib.contextmanager
def _claimed(data: Path) -> Iterator[Path]:
    """Hold the folder for this process; what is written to the path tells the next one who holds it."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / "system.lock"
    with open(path, "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ConfigurationError(
                f"a system runs over {data} already: {lock.read() or 'it is just starting'}"
            ) from None
        yield path


async def _own_broker(settings: Settings, console: Console, stack: contextlib.AsyncExitStack) -> str:
    broker = EmbeddedBroker(settings.data_folder / "broker", settings.durability)
    url = await asyncio.to_thread(broker.start)
    await stack.enter_async_context(keep_alive(broker, console.print))
    return url


async def _check_layout(url: str, settings: Settings) -> None:
    """Ask the broker once, here, so that a mistake is one line and not four services that cannot start."""
    log = open_log(url, settings.partitions_count)
    try:
        await log.start()
    finally:
        await log.close()


async def _ready_or_refused(doors: Doors, service: str, supervisor: Supervisor) -> None:
    ready = asyncio.create_task(until_ready(doors, service))
    refused = asyncio.create_task(supervisor.refused())
    try:
        await asyncio.wait({ready, refused}, return_when=asyncio.FIRST_COMPLETED)
        if refused.done():
            raise ConfigurationError(refused.result())
        await ready
    finally:
        ready.cancel()
        refused.cancel()
        await asyncio.gather(ready, refused, return_exceptions=True)


def _without_password(url: str) -> str:
    """A URL that can be shown.

    >>> _without_password("redis://user:secret@127.0.0.1:6379/0")
    'redis://…@127.0.0.1:6379/0'
    """
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}…@{rest.rpartition('@')[2]}" if "@" in rest else url
