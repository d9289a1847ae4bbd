"""What the server remembers, in one SQLite file: every call by its tag, caps on them, and answers by what was asked."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS calls (tag TEXT NOT NULL, purpose TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, wall_s REAL NOT NULL, at REAL NOT NULL, digest TEXT NOT NULL, cached INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS calls_by_tag ON calls (tag, purpose);
CREATE TABLE IF NOT EXISTS caps (tag TEXT PRIMARY KEY, calls INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS recordings (digest TEXT PRIMARY KEY, text TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, ended INTEGER NOT NULL, first_tokens TEXT);
CREATE TABLE IF NOT EXISTS served (model TEXT NOT NULL);
"""
SUMS = """SELECT purpose, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens), SUM(wall_s), SUM(cached)
    FROM calls WHERE tag = ? GROUP BY purpose ORDER BY purpose"""
COUNTED = ("calls", "prompt_tokens", "completion_tokens", "wall_s", "cached")


@dataclass(frozen=True, slots=True)
class Call:
    """One completion, as it was counted. ``at``: seconds since 1970; ``cached``: it was served from a recording."""

    tag: str
    purpose: str
    prompt_tokens: int
    completion_tokens: int
    wall_s: float
    at: float
    digest: str
    cached: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """One answer; ``first_tokens``: the most probable ones with their log-probabilities, None where nobody asked for them."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    ended: bool
    first_tokens: tuple[tuple[str, float], ...] | None = None


class OtherModel(Exception):
    """Raised when a file holds the answers of another model."""


class OverCap(Exception):
    """Raised instead of a call that the tag may not make any more."""


class Records:
    """The file; every method may be called from any thread and returns when the change would survive the process.

    >>> records = Records(":memory:", model="m")
    >>> records.set_caps({"arm": 1})
    {'arm': 1}
    >>> records.reserve("arm", 1)
    >>> records.count(Call("arm", "task", 10, 1, 0.5, 0.0, "d", False))
    >>> records.meter("arm")["calls"]
    1
    >>> records.reserve("arm", 1)
    Traceback (most recent call last):
    ...
    benchmarks.llm_server.records.OverCap: arm has made 1 of 1 calls
    """

    def __init__(self, file: str | Path, model: str | None) -> None:
        """``model`` None: whatever the file holds."""
        self._lock = threading.RLock()
        self._base = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        # Committed rows survive the process in any case; only a fall of the machine could take the last ones.
        self._base.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {TABLES}")
        self.model = self._claimed(model)
        self._calls: dict[str, int] = dict(
            self._base.execute("SELECT tag, COUNT(*) FROM calls GROUP BY tag").fetchall()
        )
        self._in_flight: dict[str, int] = {}
        self._caps: dict[str, int] = dict(self._base.execute("SELECT tag, calls FROM caps").fetchall())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def reserve(self, tag: str, count: int) -> None:
        """Set ``count`` calls aside for ``tag``; each is then either counted or given back.

        Raises:
            OverCap: it would pass the cap.
        """
        with self._lock:
            made, flying = self._calls.get(tag, 0), self._in_flight.get(tag, 0)
            cap = self._caps.get(tag)
            if cap is not None and made + flying + count > cap:
                in_flight = f" ({flying} in flight)" if flying else ""
                raise OverCap(f"{tag} has made {made + flying} of {cap} calls{in_flight}")
            self._in_flight[tag] = flying + count

    def give_back(self, tag: str, count: int) -> None:
        """Calls that were set aside and not made."""
        with self._lock:
            self._in_flight[tag] -= count

    def count(self, call: Call) -> None:
        """A call that was set aside was made."""
        with self._lock:
            self._base.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(call))
            self._in_flight[call.tag] -= 1
            self._calls[call.tag] = self._calls.get(call.tag, 0) + 1

    def set_caps(self, caps: dict[str, int | None]) -> dict[str, int]:
        """Set or lift (None) caps; all caps."""
        with self._lock:
            for tag, cap in caps.items():
                self._base.execute("DELETE FROM caps WHERE tag = ?", (tag,))
                self._caps.pop(tag, None)
                if cap is not None:
                    self._base.execute("INSERT INTO caps VALUES (?, ?)", (tag, cap))
                    self._caps[tag] = cap
            return dict(self._caps)

    def meter(self, tag: str) -> dict[str, Any]:
        """The sums of a tag, in all and by purpose."""
        with self._lock:
            rows = self._base.execute(SUMS, (tag,)).fetchall()
            cap = self._caps.get(tag)
        purposes = {purpose: dict(zip(COUNTED, sums, strict=True)) for purpose, *sums in rows}
        whole = {name: sum(sums[name] for sums in purposes.values()) for name in COUNTED}
        return {"tag": tag, "cap": cap, **whole, "purposes": purposes}

    def tags(self) -> list[str]:
        """All tags that made a call or have a cap."""
        with self._lock:
            return sorted({tag for tag, count in self._calls.items() if count} | set(self._caps))

    def forget(self, tag: str) -> None:
        """Drop the calls of a tag."""
        with self._lock:
            self._base.execute("DELETE FROM calls WHERE tag = ?", (tag,))
            self._calls.pop(tag, None)

    def recording(self, digest: str) -> Recording | None:
        """The answer to what was asked before."""
        columns = ", ".join(field.name for field in fields(Recording))
        with self._lock:
            row = self._base.execute(f"SELECT {columns} FROM recordings WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        text, prompt_tokens, completion_tokens, ended, first = row
        tokens = None if first is None else tuple((token, logprob) for token, logprob in json.loads(first))
        return Recording(text, prompt_tokens, completion_tokens, bool(ended), tokens)

    def record(self, digest: str, answer: Recording) -> None:
        """Keep an answer."""
        first = None if answer.first_tokens is None else json.dumps(answer.first_tokens, ensure_ascii=False)
        said = (digest, answer.text, answer.prompt_tokens, answer.completion_tokens, answer.ended, first)
        with self._lock:
            self._base.execute("INSERT OR REPLACE INTO recordings VALUES (?, ?, ?, ?, ?, ?)", said)

    def _claimed(self, model: str | None) -> str:
        held = self._base.execute("SELECT model FROM served").fetchone()
        if held is None and model is not None:
            self._base.execute("INSERT INTO served VALUES (?)", (model,))
        elif held is None or model not in (None, held[0]):
            self._base.close()
            raise OtherModel(f"the file holds the answers of {held[0] if held else 'no model'}, not of {model}")
        return str(held[0] if held else model)
