"""The current champion of each loop, kept in memory and asked for again every second or so.

A pointer in the event log says which manifest is current; the manifest names the content; loading it happens off the event
loop, once, however many requests wait for it. While the broker or the store is away the last known champion goes on
serving: an application must not stand still because learning does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from meta_learning.errors import BrokerUnavailable, MetaLearningError, WorldError
from meta_learning.registry import Store
from meta_learning.registry.versions import Manifest, manifest_of
from services.ingest.broker import Broker
from services.ingest.metrics import IngestMetrics

log = logging.getLogger("ingest.champions")
T = TypeVar("T")
Kind = Literal["model", "prompt"]


@dataclass(frozen=True, slots=True)
class Champion(Generic[T]):
    """A version that is current: the digest of its manifest, the manifest, and its content, loaded."""

    digest: str
    manifest: Manifest
    content: T


@dataclass(slots=True)
class _Known(Generic[T]):
    champion: Champion[T]
    checked_at: float


class Champions(Generic[T]):
    """Champions of one kind; at most ``count_max`` are kept, the least recently used go first."""

    def __init__(
        self,
        kind: Kind,
        broker: Broker,
        store: Store,
        load: Callable[[bytes], T],
        metrics: IngestMetrics,
        refresh_s: float = 1.0,
        count_max: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind: Kind = kind
        self._broker = broker
        self._store = store
        self._load = load
        self._refresh_s = refresh_s
        self._count_max = count_max
        self._clock = clock
        self._known: OrderedDict[str, _Known[T]] = OrderedDict()
        self._asked: dict[str, asyncio.Task[Champion[T] | None]] = {}
        self._results = {
            result: metrics.champions.labels(kind, result)
            for result in ("hit", "checked", "loaded", "none", "stale", "failed")
        }

    async def current(self, loop: str) -> Champion[T] | None:
        """The champion of ``loop``, at most ``refresh_s`` old; None when it has none.

        Raises:
            WorldError: it cannot be had now, and none was known before.
        """
        known = self._known.get(loop)
        if known is not None and self._clock() - known.checked_at < self._refresh_s:
            self._known.move_to_end(loop)
            self._results["hit"].inc()
            return known.champion
        if loop not in self._asked:
            self._asked[loop] = asyncio.create_task(self._ask(loop, known))
            self._asked[loop].add_done_callback(lambda _: self._asked.pop(loop, None))
        # Shielded: one caller that goes away must not take the answer from the others.
        return await asyncio.shield(self._asked[loop])

    async def _ask(self, loop: str, known: _Known[T] | None) -> Champion[T] | None:
        try:
            return await self._look_up(loop, known)
        except MetaLearningError as error:
            if known is None:
                self._results["failed"].inc()
                raise
            self._results["stale"].inc()
            log.warning("serving a stale champion", extra={"loop": loop, "kind": self._kind, "reason": str(error)})
            known.checked_at = self._clock()
            return known.champion

    async def _look_up(self, loop: str, known: _Known[T] | None) -> Champion[T] | None:
        digest = await self._broker.pointer(loop, self._kind)
        if digest is None:
            self._known.pop(loop, None)
            self._results["none"].inc()
            return None
        if known is not None and known.champion.digest == digest:
            self._results["checked"].inc()
            champion = known.champion
        else:
            champion = await asyncio.to_thread(self._read, digest)
            self._results["loaded"].inc()
        self._known[loop] = _Known(champion, self._clock())
        self._known.move_to_end(loop)
        if len(self._known) > self._count_max:
            self._known.popitem(last=False)
        return champion

    def _read(self, digest: str) -> Champion[T]:
        try:
            manifest = manifest_of(self._store, digest)
            return Champion(digest, manifest, self._load(self._store.get(manifest.content)))
        except BrokerUnavailable:
            raise
        except Exception as error:
            # Whatever a damaged or missing file raises: the version exists, so its absence here is the world's fault.
            raise WorldError(f"the current {self._kind} cannot be loaded: {type(error).__name__}") from error


class KnownLoops:
    """Which loops exist, at most ``refresh_s`` old."""

    def __init__(self, broker: Broker, refresh_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._refresh_s = refresh_s
        self._clock = clock
        self._loops: frozenset[str] = frozenset()
        self._asked_at = float("-inf")

    async def has(self, loop: str) -> bool:
        """Whether ``loop`` exists."""
        if loop not in self._loops and self._clock() - self._asked_at >= self._refresh_s:
            self._loops = frozenset(await self._broker.loops())
            self._asked_at = self._clock()
        return loop in self._loops
