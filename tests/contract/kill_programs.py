"""A producer and a fold worker to be killed, and the fold that both the worker and the test compute.

Run as ``python -m tests.contract.kill_programs produce|fold URL COUNT``.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Iterable

from meta_learning.errors import BrokerUnavailable, OwnershipLost
from meta_learning.events import FeedbackReceived, ModelPromoted, decode, derived_id
from meta_learning.streams import Commit, Entry, Limits, Taken
from meta_learning.streams.redis import RedisLog
from tests.brokers import NOON, feedback

LOOPS = ("support", "sales", "news")  # in partitions 1, 0 and 0 of 2
EMIT_EVERY = 10
SETTLED = {Taken.ACCEPTED, Taken.DUPLICATE}


def open_log(url: str) -> RedisLog:
    return RedisLog(url, partitions_count=2, limits=Limits(backlog_count_max=200))


def sent(count: int) -> list[FeedbackReceived]:
    return [feedback(f"e{i}", loop=LOOPS[i % 3], score=(i % 11) / 10) for i in range(count)]


def folded(state: dict[str, bytes], entries: Iterable[Entry]) -> tuple[dict[str, bytes], list[ModelPromoted]]:
    """A count and a running hash a loop, and an event every tenth: whatever is lost, doubled or swapped shows in it."""
    changed: dict[str, bytes] = {}
    emitted = []
    for entry in entries:
        event = decode(entry.body)
        count, _, digest = changed.get(event.loop, state.get(event.loop, b"0 ")).partition(b" ")
        number = int(count) + 1
        running = hashlib.sha256(digest + event.encode()).hexdigest()
        changed[event.loop] = f"{number} {running}".encode()
        if number % EMIT_EVERY == 0:
            event_id = derived_id(event.loop, str(number))
            promotion = ModelPromoted(
                event_id=event_id, occurred_at=NOON, loop=event.loop, version=running[:8], cause="gate"
            )
            emitted.append(promotion)
    return changed, emitted


async def produce(url: str, count: int) -> None:
    """Send everything from the start, again and again, until every event is known to the broker."""
    log = open_log(url)
    events = sent(count)
    print("ready", flush=True)
    for start in range(0, count, 7):
        batch = events[start : start + 7]
        while True:
            try:
                receipts = await log.append(batch)
            except BrokerUnavailable:
                receipts = []
            if receipts and all(receipt.taken in SETTLED for receipt in receipts):
                break
            await asyncio.sleep(0.01)
    print("done", flush=True)
    await log.close()


async def work(url: str, partition: int) -> None:
    """Fold one partition for ever."""
    log = open_log(url)
    fold = log.fold("trainer", partition)
    while True:
        try:
            if not await fold.acquire(f"worker-{partition}"):
                continue
            state = dict((await fold.load()).state)
            while True:
                entries = await fold.read(count_max=5, wait_ms_max=200)
                changed, emitted = folded(state, entries)
                if entries:
                    await fold.commit(Commit(state=changed, offsets={"feedback": entries[-1].id}, emit=emitted))
                    state.update(changed)
        except (BrokerUnavailable, OwnershipLost):
            await asyncio.sleep(0.01)


async def fold_all(url: str) -> None:
    print("ready", flush=True)
    await asyncio.gather(work(url, 0), work(url, 1))


if __name__ == "__main__":
    program, broker, wanted = sys.argv[1:]
    asyncio.run(produce(broker, int(wanted)) if program == "produce" else fold_all(broker))
