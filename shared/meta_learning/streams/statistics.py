"""What a Redis log says about itself: lags, totals, dead letters. Nothing here is on a hot path, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meta_learning.streams import DeadLetter, ReaderLag, StreamName, entry_order
from meta_learning.streams.connection import Connections
from meta_learning.streams.entries import dead_letter_from, text
from meta_learning.streams.keys import COUNTERS, STREAMS, Keys


async def totals(connections: Connections, keys: Iterable[Keys]) -> dict[str, int]:
    """Counters summed over the partitions, beside what lies there now (``kept_*``, ``dead``)."""
    sums = dict.fromkeys((*COUNTERS, "kept_feedback", "kept_events", "dead"), 0)
    for at in keys:
        commands = [["HGETALL", at.counters], *(["XLEN", at.stream(name)] for name in STREAMS), ["XLEN", at.dead]]
        counters, feedback, events, dead = await connections.all(commands, atomic=True)
        for raw, value in counters.items():
            if text(raw) in sums:
                sums[text(raw)] += int(value)
        sums["kept_feedback"] += feedback
        sums["kept_events"] += events
        sums["dead"] += dead
    return sums


async def lags(connections: Connections, keys: Iterable[Keys]) -> list[ReaderLag]:
    """The lag of every fold (from what it committed) and every relay (from its group), by partition and stream."""
    found: list[ReaderLag] = []
    for at in keys:
        for name in STREAMS:
            found += await _fold_lags(connections, at, name)
            found += await _relay_lags(connections, at, name)
    return found


async def _fold_lags(connections: Connections, keys: Keys, name: StreamName) -> list[ReaderLag]:
    commands = [["HGETALL", keys.offsets(name)], ["HGETALL", keys.committed(name)]]
    commands.append(["HGET", keys.counters, f"entries_{name}"])
    offsets, committed, entries = await connections.all(commands, atomic=True)
    lags = []
    for role, offset in sorted(offsets.items()):
        now_ms, oldest = await _oldest_after(connections, keys.stream(name), text(offset))
        behind = max(0, int(entries or 0) - int(committed.get(role, 0))) if oldest else 0
        # Whatever was miscounted (an entry written by hand), an entry that waits is a lag of one.
        lags.append(_lag(text(role), keys, name, max(behind, 1 if oldest else 0), now_ms, oldest))
    return lags


async def _relay_lags(connections: Connections, keys: Keys, name: StreamName) -> list[ReaderLag]:
    stream = keys.stream(name)
    if not await connections.command("EXISTS", stream):
        return []
    lags = []
    for group in await connections.command("XINFO GROUPS", stream):
        delivered = text(group["last-delivered-id"])
        now_ms, oldest = await _oldest_after(connections, stream, delivered)
        # The server does not know its own count after some deletions: then what lies there is counted. At the end it is 0.
        unread = group.get("lag") if oldest else 0
        if unread is None:
            unread = len(await connections.command("XRANGE", stream, f"({delivered}", "+"))
        if group["pending"]:
            summary = await connections.command("XPENDING", stream, text(group["name"]))
            oldest = text(summary["min"])
        behind = int(unread) + int(group["pending"])
        lags.append(_lag(text(group["name"]), keys, name, behind, now_ms, oldest))
    return lags


async def _oldest_after(connections: Connections, stream: str, offset: str) -> tuple[float, str | None]:
    commands = [["TIME"], ["XRANGE", stream, f"({offset}", "+", "COUNT", "1"]]
    (seconds, microseconds), found = await connections.all(commands)
    return int(seconds) * 1000 + int(microseconds) / 1000, text(found[0][0]) if found else None


def _lag(role: str, keys: Keys, name: StreamName, behind: int, now_ms: float, oldest: str | None) -> ReaderLag:
    age_s = max(0.0, now_ms - entry_order(oldest)[0]) / 1000 if oldest else 0.0
    return ReaderLag(role=role, partition=keys.partition, stream=name, entries_count=behind, oldest_age_s=age_s)


async def dead_letters(connections: Connections, keys: Sequence[Keys], count_max: int) -> list[DeadLetter]:
    """The oldest dead letters over all partitions."""
    replies = await connections.all([["XRANGE", at.dead, "-", "+", "COUNT", str(count_max)] for at in keys])
    found = [
        dead_letter_from(at.partition, dead_id, fields)
        for at, reply in zip(keys, replies, strict=True)
        for dead_id, fields in reply
    ]
    return sorted(found, key=lambda letter: (letter.parked_at_ms, letter.id))[:count_max]
