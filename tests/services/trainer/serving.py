"""The trainer's app over any log, on a free port of this process, and what its tests ask of it through real HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.models.port import Model
from meta_learning.events import Event, decode
from meta_learning.registry.store import FileStore
from meta_learning.serving.running import server_for
from meta_learning.streams import Fold, Log
from services.trainer.app import trainer_app
from services.trainer.archive import Archivist
from services.trainer.consumer import PartitionTrainer
from services.trainer.loops import Loops
from services.trainer.metrics import TrainerMetrics
from tests.services.trainer.folding import CYCLE_SIZE

REST_S = 0.2


@dataclass
class Served:
    """A trainer that runs."""

    log: Log
    http: httpx.AsyncClient
    trainers: Sequence[PartitionTrainer]

    async def ready(self) -> tuple[int, str]:
        """Status and text of ``/readyz``."""
        answer = await self.http.get("/readyz")
        return answer.status_code, answer.text

    async def until_ready(self, status: int, said: str = "") -> str:
        """Wait until ``/readyz`` answers so and names ``said``; its text."""
        found = (0, "")
        try:
            async with asyncio.timeout(20):
                while found[0] != status or said not in found[1]:
                    await asyncio.sleep(0.02)
                    found = await self.ready()
        except TimeoutError:
            raise AssertionError(f"wanted {status} with {said!r}, the last answer was {found}") from None
        return found[1]

    async def until_folded(self) -> None:
        """Wait until the trainer has committed everything that lies in the log now."""
        async with asyncio.timeout(20):
            while True:
                lags = [lag.entries_count for lag in await self.log.lags() if lag.role == "trainer"]
                if len(lags) == self.log.partitions_count and not any(lags):
                    return
                await asyncio.sleep(0.02)

    async def metric(self, line_start: str) -> float:
        """The value of the first sample whose line starts so."""
        text = (await self.http.get("/metrics")).text
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(line_start))


def loops_in(folder: Path, partition: int, model: Model | None = None) -> Loops:
    return Loops(
        new=lambda name: ClosedLoopSystem(model, loop=name, cycle_size=CYCLE_SIZE),
        restore=lambda name, state, get: ClosedLoopSystem.restore(state, get, loop=name, cycle_size=CYCLE_SIZE),
        workspace=lambda name: FileStore(folder / "trainer" / f"p{partition}" / name),
        registry=FileStore(folder / "registry"),
    )


@asynccontextmanager
async def serving(
    log: Log,
    folder: Path,
    owner: str = "one",
    keep_count: int = 10_000,
    wrap: Callable[[Fold], Fold] = lambda fold: fold,
    model: Model | None = None,
) -> AsyncIterator[Served]:
    """The app over ``log``, until the end of the block; it must stop within 3 seconds."""
    metrics = TrainerMetrics()
    trainers = [
        PartitionTrainer(
            wrap(log.fold("trainer", number)), loops_in(folder, number, model), metrics, owner, 30, rest_s=REST_S
        )
        for number in range(log.partitions_count)
    ]
    archivist = Archivist(log, folder / "archive", metrics, keep_count, segment_count=20)
    owned = lambda: [trainer.partition for trainer in trainers if trainer.owned]  # noqa: E731
    app = trainer_app(log, trainers, lambda: archivist.run(owned, every_s=0.05), metrics)
    listening = socket.create_server(("127.0.0.1", 0))
    server = server_for(app, "127.0.0.1", 0, drain_s=1)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        try:
            yield Served(log, http, trainers)
        finally:
            server.should_exit = True
            async with asyncio.timeout(3):
                await running


async def said(log: Log) -> list[Event]:
    """Everything on the events streams, in order."""
    found = []
    for partition in range(log.partitions_count):
        found += [decode(entry.body) for entry in await log.entries(partition, "events", count_max=10_000)]
    return found


async def unbroken(log: Log) -> list[Event]:
    """What one fold of the same entries, in one process and with no interruption, says."""
    expected: list[Event] = []
    for partition in range(log.partitions_count):
        systems: dict[str, ClosedLoopSystem] = {}
        for entry in await log.entries(partition, "feedback", count_max=10_000):
            event = decode(entry.body)
            system = systems.setdefault(event.loop, ClosedLoopSystem(loop=event.loop, cycle_size=CYCLE_SIZE))
            expected += system.fold(event, entry_id=entry.id)
    return expected
