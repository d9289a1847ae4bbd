"""Own partitions, fold their feedback, commit. One branch for each way in which that can end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from meta_learning.errors import (
    BrokerUnavailable,
    MalformedState,
    OwnershipLost,
    StoreUnavailable,
    WorldError,
)
from meta_learning.serving.ending import end
from meta_learning.streams import Entry, Fold
from services.trainer.loops import Folded, Loops
from services.trainer.metrics import TrainerMetrics

log = logging.getLogger("trainer")
LEASE_MS = 10_000
RETRY_S_MIN, RETRY_S_MAX = 0.1, 5.0
REST_S = 30.0


class PartitionTrainer:
    """The trainer's hold on one partition, from lease to lease. ``rest_s``: how long it rests when only a person can help."""

    def __init__(
        self,
        fold: Fold,
        loops: Loops,
        metrics: TrainerMetrics,
        owner: str,
        batch_count_max: int = 500,
        rest_s: float = REST_S,
    ) -> None:
        self._fold, self._loops, self._metrics = fold, loops, metrics
        self._owner, self._batch_count_max, self._rest_s = owner, batch_count_max, rest_s
        self._retry_s = RETRY_S_MIN
        self.partition = fold.partition
        self.owned = False
        self.stopped: str | None = None  # why it does not fold, until it commits again

    async def run(self) -> None:
        """Own, fold, lose, own again; for ever. When it is cancelled, the lease is given back."""
        try:
            while True:
                wait_s = await self._turn()
                self.owned = False
                await asyncio.sleep(wait_s)
        finally:
            self.owned = False
            await self._release()

    async def _turn(self) -> float:
        """Hold the partition for as long as it goes well; how long to wait then: longer each time, until a commit succeeds."""
        wait_s, self._retry_s = self._retry_s, min(RETRY_S_MAX, 2 * self._retry_s)
        partition = {"partition": self.partition}
        try:
            if await self._fold.acquire(self._owner, LEASE_MS):
                await self._own()
        except OwnershipLost:
            log.warning("ownership lost", extra=partition)
        except BrokerUnavailable as error:
            log.warning("broker unavailable", extra=partition | {"reason": str(error)})
        except StoreUnavailable as error:
            self.stopped = str(error)
            log.error("cannot keep artifacts", extra=partition | {"reason": str(error)})
        except (WorldError, MalformedState) as error:
            # Nothing was committed: a producer, a deploy, a model or a disk is broken, and parking good entries would hide it.
            self.stopped, wait_s = str(error), self._rest_s
            log.error("stopped folding", extra=partition | {"reason": str(error)})
        return wait_s

    async def _own(self) -> None:
        checkpoint = await self._fold.load()
        self._loops.load(checkpoint.state)
        self.owned = True
        log.info("partition owned", extra={"partition": self.partition, "offset": dict(checkpoint.offsets)})
        renewal = asyncio.create_task(self._renew())
        try:
            while not renewal.done():
                if entries := await self._fold.read(self._batch_count_max):
                    await self._fold_and_commit(entries)
                self._retry_s, self.stopped = RETRY_S_MIN, None
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
        self._metrics.committed(folded, time.perf_counter() - started)
        _tell(folded)
        await asyncio.to_thread(self._loops.committed, folded)

    async def _release(self) -> None:
        """Give the partition back, so that the next owner need not wait for the lease to run out."""
        try:
            await self._fold.release()
        except (BrokerUnavailable, OwnershipLost) as error:
            log.warning("lease not released", extra={"partition": self.partition, "reason": str(error)})


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
