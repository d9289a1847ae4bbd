"""The lease of one run, renewed by a thread of the process that works on it, and all reasons to stop working.

The lease is what makes false alarms harmless: a job that was given to a successor too early (a starved heartbeat) finds
the successor waiting for the lease, not paying for the same calls. One round trip a beat renews the lease, reads the
cancel flag and adds up the counters, which would be lost with the forked process if they lived in its memory.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from enum import StrEnum
from typing import Any

from redis.exceptions import RedisError

from services.evolver import interrupt
from services.evolver.queueing import COUNTERS_KEY, cancel_key

log = logging.getLogger("evolver.lease")

# Renew while it is mine; take it when nobody has it (a broker that lost it); 0 says that somebody else has it.
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {0, 0} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, redis.call('EXISTS', KEYS[2])}
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Stop(StrEnum):
    """Why a run should stop between two calls."""

    CANCELLED = "cancelled"  # somebody asked for it
    INTERRUPTED = "interrupted"  # this process is asked to end, or its parent is gone
    LOST = "lost"  # another process holds the lease


class Lease:
    """Hold ``key`` as ``token`` from `acquire` to `release`; `stop` says whether and why to stop."""

    def __init__(self, connection: Any, key: str, token: str, job_id: str, ttl_s: float) -> None:
        self.token = token
        self._connection, self._ttl_s = connection, ttl_s
        self._keys = (key, cancel_key(job_id))
        self._renew, self._let_go = connection.register_script(_RENEW), connection.register_script(_RELEASE)
        self._parent = os.getppid()
        self._counts: Counter[str] = Counter()
        self._counts_lock = threading.Lock()
        self._ending = threading.Event()
        self._seen: Stop | None = None
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def stop(self) -> Stop | None:
        """Why to stop, None to go on. Once set by a cancel or a loss, it stays."""
        if self._seen is None and (interrupt.requested.is_set() or os.getppid() != self._parent):
            return Stop.INTERRUPTED
        return self._seen

    def acquire(self, wait_s: float) -> bool:
        """Wait up to ``wait_s`` for a dead holder's lease to run out; on success the thread starts to beat."""
        deadline = time.monotonic() + wait_s
        while not self._try():
            if time.monotonic() >= deadline or interrupt.requested.wait(0.2):
                return False
        self._thread.start()
        return True

    def release(self) -> None:
        """Give the lease back and write the last counters."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._flush()
            self._let_go(keys=self._keys[:1], args=[self.token])
        except RedisError as error:
            log.warning("the lease runs out by itself", extra={"reason": type(error).__name__})

    def count(self, counts: dict[str, float]) -> None:
        """Add ``counts`` to the counters of the service, with the next beat."""
        with self._counts_lock:
            self._counts.update(counts)

    def _try(self) -> bool:
        mine, cancelled = self._renew(keys=self._keys, args=[self.token, round(self._ttl_s * 1000)])
        if cancelled:
            self._seen = Stop.CANCELLED
        return bool(mine)

    def _beat(self) -> None:
        while not self._ending.wait(self._ttl_s / 5):
            try:
                if not self._try():
                    self._seen = Stop.LOST
                self._flush()
            except RedisError as error:
                log.warning("a beat was lost", extra={"reason": type(error).__name__})

    def _flush(self) -> None:
        with self._counts_lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with self._connection.pipeline() as pipeline:
                for name, amount in counts.items():
                    pipeline.hincrbyfloat(COUNTERS_KEY, name, amount)
                pipeline.execute()
        except RedisError:
            self.count(dict(counts))
            raise
