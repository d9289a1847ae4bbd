"""The shell around the fold: own a partition, read, fold, commit; after any loss, own and load again.

The two streams have no order between them. A cycle's texts lie in the ``feedback`` stream, so an entry of ``events`` is folded only
when the feedback up to the cycle's last entry has been; until then it and what follows it wait in memory, uncommitted, and are
read again after a crash. That makes the state a function of the two offsets alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from meta_learning.errors import BrokerUnavailable, MetaLearningError, OwnershipLost, TooManyDeadLetters
from meta_learning.serving.ending import end
from meta_learning.streams import Fold, Log
from services.monitor.folding import FoldLimits, PartitionView, Watches
from services.monitor.reading import Reader
from services.monitor.view import View

log = logging.getLogger("monitor.consumer")

ROLE = "monitor"
LEASE_MS = 10_000
PAUSE_S_MIN, PAUSE_S_MAX = 0.2, 5.0


class PartitionConsumer:
    """Folds one partition for as long as it runs."""

    def __init__(
        self,
        source: Log,
        partition: int,
        owner: str,
        view: View,
        watches: Watches,
        limits: FoldLimits,
        role: str = ROLE,
    ) -> None:
        self._log = source
        self._partition = partition
        self._owner = owner
        self._view = view
        self._watches = watches
        self._limits = limits
        self._role = role
        self._pause_s = PAUSE_S_MIN

    async def run(self) -> None:
        """Own, fold, and start again after a loss, until cancelled."""
        while True:
            try:
                await self._own()
            except (OwnershipLost, BrokerUnavailable, TooManyDeadLetters) as error:
                log.warning("partition lost", extra={"partition": self._partition, "reason": str(error)})
                self._view.partition_state(self._partition, "standby" if isinstance(error, OwnershipLost) else "down")
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(PAUSE_S_MAX, self._pause_s * 2)

    async def _own(self) -> None:
        fold = self._log.fold(self._role, self._partition, ("feedback", "events"))
        if not await fold.acquire(self._owner, LEASE_MS):
            self._view.partition_state(self._partition, "standby")
            return
        try:
            await _first_of(self._renew(fold), self._fold(fold))
        finally:
            with suppress(MetaLearningError):
                await fold.release()

    async def _renew(self, fold: Fold) -> None:
        while True:
            await asyncio.sleep(LEASE_MS / 3000)
            await fold.renew()

    async def _fold(self, fold: Fold) -> None:
        partition = PartitionView.load(await fold.load(), self._watches, self._limits)
        self._view.show(self._partition, partition)
        reader = Reader(self._log, self._partition, partition)
        while True:
            entries = await fold.read(self._limits.batch_count_max)
            await reader.take(entries)
            if partition.is_changed:
                await fold.commit(partition.take_commit())
                self._view.committed(self._partition, time.time())
            self._pause_s = PAUSE_S_MIN
            if 0 < len(entries) < self._limits.batch_count_max // 2:
                await asyncio.sleep(self._limits.linger_s)


async def _first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until the first ends, which here means that it failed; the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks)
    for task in done:
        task.result()
