"""Own partitions, fold their feedback, commit. One branch for each way in which that can end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from meta_learning.errors import BrokerUnavailable, OwnershipLost, TooManyDeadLetters
from meta_learning.serving.ending import end
from meta_learning.streams import Entry, Fold
from services.trainer.loops import Folded, Loops
from services.trainer.metrics import TrainerMetrics

log = logging.getLogger("trainer")
LEASE_MS = 10_000
RETRY_S_MAX = 5.0
STOPPED_S = 30.0  # how long a fold rests that cannot read its input


class PartitionTrainer:
    """The trainer's hold on one partition, from lease to lease."""

    def __init__(
        self, fold: Fold, loops: Loops, metrics: TrainerMetrics, owner: str, batch_count_max: int = 500
    ) -> None:
        self._fold, self._loops, self._metrics = fold, loops, metrics
        self._owner, self._batch_count_max = owner, batch_count_max
        self.owned = False

    async def run(self) -> None:
        """Own, fold, lose, own again; for ever. After a failure it waits a little longer each time, up to 5 s."""
        retry_s = 0.1
        while True:
            try:
                if await self._fold.acquire(self._owner, LEASE_MS):
                    retry_s = 0.1
                    await self._own()
            except OwnershipLost:
                log.warning("ownership lost", extra={"partition": self._fold.partition})
            except BrokerUnavailable as error:
                log.warning("broker unavailable", extra={"partition": self._fold.partition, "reason": str(error)})
            except TooManyDeadLetters as error:
                # Nothing was committed: a producer or a deploy is broken, and draining the stream would only hide it.
                log.error("stopped folding", extra={"partition": self._fold.partition, "reason": str(error)})
                retry_s = STOPPED_S
            finally:
                self.owned = False
            await asyncio.sleep(retry_s)
            retry_s = min(max(RETRY_S_MAX, retry_s), retry_s * 2)

    async def _own(self) -> None:
        checkpoint = await self._fold.load()
        self._loops.load(checkpoint.state)
        self.owned = True
        log.info("partition owned", extra={"partition": self._fold.partition, "offset": dict(checkpoint.offsets)})
        renewal = asyncio.create_task(self._renew())
        try:
            while not renewal.done():
                if entries := await self._fold.read(self._batch_count_max):
                    await self._fold_and_commit(entries)
            await renewal
        finally:
            await end(renewal)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_MS / 3000)
            await self._fold.renew()

    async def _fold_and_commit(self, entries: Sequence[Entry]) -> None:
        started = time.perf_counter()
        # Training takes tens of milliseconds a cycle: it runs beside the event loop, which goes on renewing the lease.
        folded = await asyncio.to_thread(self._loops.fold, entries)
        await self._fold.commit(folded.commit)
        await asyncio.to_thread(self._loops.committed, folded)
        self._metrics.committed(folded, time.perf_counter() - started)
        _tell(folded)

    async def release(self) -> None:
        """Give the partition back at shutdown, so that the next owner need not wait."""
        if self.owned:
            try:
                await self._fold.release()
            except (BrokerUnavailable, OwnershipLost) as error:
                log.warning("lease not released", extra={"partition": self._fold.partition, "reason": str(error)})


def _tell(folded: Folded) -> None:
    for cycle in folded.cycles:
        log.info(
            "cycle completed",
            extra={
                "loop": cycle.loop,
                "cycle": cycle.cycle,
                "decision": cycle.decision,
                "reasons": list(cycle.reasons),
            },
        )
    for entry, reason in folded.commit.parked:
        log.warning("entry parked", extra={"entry": entry.id, "reason": reason})
