"""Archive before trim: entries that every reader has committed are written to the store, and only then dropped.

A segment is JSON lines, ``{"id", "type", "body"}`` a line, named by its first and last entry and the digest of its bytes: writing
it again after a crash gives the same file. Replay, data sets from feedback and the erasure of a user read archive and stream together.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import fsspec

from meta_learning.errors import BrokerUnavailable, StoreUnavailable
from meta_learning.registry import digest_of
from meta_learning.registry.writing import store_errors, write_whole
from meta_learning.streams import Entry, Log, StreamName, entry_order
from services.trainer.metrics import TrainerMetrics

log = logging.getLogger("trainer.archive")
STREAMS: tuple[StreamName, ...] = ("feedback", "events")


class Archivist:
    """Keeps the streams of some partitions short: about ``keep_count`` entries, cut in segments of ``segment_count``."""

    def __init__(
        self, broker: Log, root: str | Path, metrics: TrainerMetrics, keep_count: int, segment_count: int = 1000
    ) -> None:
        self._log, self._metrics = broker, metrics
        self._fs, self._root = fsspec.core.url_to_fs(str(root))
        self._keep_count, self._segment_count = keep_count, segment_count

    async def run(self, owned: Callable[[], Sequence[int]], every_s: float) -> None:
        """Look at every stream of the ``owned`` partitions now and then; what cannot be archived now is looked at later."""
        while True:
            await asyncio.sleep(every_s)
            for partition in owned():
                for stream in STREAMS:
                    try:
                        await self.shorten(partition, stream)
                    except (BrokerUnavailable, StoreUnavailable) as error:
                        log.warning("not archived now", extra={"partition": partition, "reason": str(error)})

    async def shorten(self, partition: int, stream: StreamName) -> int:
        """Archive and trim whole segments while more than ``keep_count`` entries lie behind every reader; how many.

        Raises:
            StoreUnavailable: the archive cannot be written now; nothing was trimmed that is not in it.
        """
        floor, dropped = await self._log.trimmable(partition, stream), 0
        while await self._log.kept(partition, stream) >= self._segment_count + self._keep_count:
            segment = await self._log.entries(partition, stream, count_max=self._segment_count)
            if not segment or entry_order(segment[-1].id) > entry_order(floor):
                break
            await asyncio.to_thread(self._write, partition, stream, segment)
            count = await self._log.trim(partition, stream, segment[-1].id)
            self._metrics.trimmed.labels(stream).inc(count)
            dropped += count
            if count == 0:
                break
        return dropped

    def _write(self, partition: int, stream: StreamName, segment: Sequence[Entry]) -> None:
        lines = (
            json.dumps({"id": e.id, "type": e.type, "body": e.body.decode(errors="backslashreplace")}) for e in segment
        )
        content = ("\n".join(lines) + "\n").encode()
        name = f"{segment[0].id}_{segment[-1].id}_{digest_of(content)[:16]}.jsonl"
        with store_errors(self._root):
            write_whole(self._fs, f"{self._root}/p{partition}/{stream}/{name}", content)
