"""The demo: real text through the front door, and what the system makes of it, as a person would want to watch it."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from meta_learning.datasets.feedback_row import FeedbackRow
from meta_learning.datasets.files import read_feedback
from meta_learning.datasets.samples import FEEDBACK_SAMPLE
from meta_learning.errors import CallerError, NotFound, WorldError
from meta_learning.serving.ending import end
from services.programs import Doors
from services.story import cycle_line, evolution_line, scores_line, summary, where

BATCH_COUNT = 50
LOOK_EVERY_S = 0.4
SETTLE_S = 60.0
SEEN_S = 20.0
EVOLUTION_S = 120.0
# Small enough for a 135M model on two shared cores to finish while one watches; nothing in it is tuned to win.
EVOLUTION = {
    "dataset": "sentiment140",
    "initial_prompt": "Is the message positive or negative?",
    "num_samples": 16,
    "gate_samples": 32,
    "max_iterations": 1,
    # By calls: how many seconds they take is the machine's business, and a search that is cut short decides nothing.
    "budget": {"calls": 150, "seconds": 110.0},
}


@dataclass(frozen=True, slots=True)
class Rows:
    """What is replayed, and one sentence about it."""

    rows: Sequence[FeedbackRow]
    described: str
    stem: str


def read_rows(path: Path | None, columns: str | None = None, scale: str = "auto") -> Rows:
    """The whole file, checked, before anything is started.

    Raises:
        MalformedDataset: the file has a bad row; the message names it.
        CallerError: the file is missing, or its columns or scale cannot be told; the message says how to tell them.
    """
    chosen = dict(item.split("=", 1) for item in columns.split(",") if "=" in item) if columns else None
    try:
        found = read_feedback(path or FEEDBACK_SAMPLE, scale=_scale(scale), columns=chosen)
    except NotFound:
        raise
    except CallerError as error:
        raise CallerError(f"{error} (here: --columns input=…,output=…,score=… and --scale LOW,HIGH)") from None
    stem = re.sub(r"[^a-z0-9]+", "-", path.name.split(".")[0].lower()).strip("-") if path else "demo"
    return Rows(list(found), found.describe(), stem[:40].strip("-") or "demo")


def _scale(text: str) -> Any:
    low, comma, high = text.partition(",")
    try:
        return (float(low), float(high)) if comma else text
    except ValueError:
        raise CallerError(f"--scale: {text!r} is no pair of numbers such as -1,1") from None


@dataclass(slots=True)
class Demo:
    """One run of the demo. It learns everything that it shows from the services' doors."""

    rows: Rows
    console: Console
    cycle_size: int
    evolve: bool = True
    _accepted: int = 0
    _cycles_shown: int = 0
    _runs_shown: set[str] = field(default_factory=set)

    async def run(self, doors: Doors, data: Path) -> bool:
        """Feed, watch, wait until all is folded, sum up; whether the counts agree."""
        async with httpx.AsyncClient(timeout=30) as http:
            loop = await self._new_loop(http, doors)
            self.console.print(f"\nreplaying {self.rows.described}\ninto the loop [bold]{loop}[/]\n")
            sent = await self._feed(http, doors, loop)
            seen = await self._settle(http, doors, loop, sent)
            if self.evolve:
                seen = await self._await_evolution(http, doors, loop)
            for line in (*summary(loop, sent, self._accepted, seen), *where(doors, data, loop)):
                self.console.print(line)
            return agrees(sent, self.cycle_size, seen)

    async def _new_loop(self, http: httpx.AsyncClient, doors: Doors) -> str:
        """A fresh loop a run, so that every demo shows a system that begins to learn."""
        known = {
            item["loop"]
            for item in (await http.get(doors.url("monitor", "/api/loops"))).raise_for_status().json()["loops"]
        }
        names = (self.rows.stem if number == 1 else f"{self.rows.stem}-{number}" for number in range(1, 10_000))
        return next(name for name in names if name not in known)

    async def _feed(self, http: httpx.AsyncClient, doors: Doors, loop: str) -> int:
        watch = asyncio.create_task(self._watch(http, doors, loop))
        run = uuid.uuid4().hex[:12]
        columns = (
            TextColumn("feedback"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        try:
            bare = not self.console.is_terminal
            with Progress(*columns, console=self.console, transient=True, disable=bare) as progress:
                task = progress.add_task("feedback", total=len(self.rows.rows))
                for start in range(0, len(self.rows.rows), BATCH_COUNT):
                    chunk = self.rows.rows[start : start + BATCH_COUNT]
                    await self._send(
                        http, doors, [_item(row, loop, f"{run}-{start + n}") for n, row in enumerate(chunk)]
                    )
                    if start == 0 and self.evolve:
                        await self._ask_for_evolution(http, doors, loop)
                    progress.advance(task, len(chunk))
                    if bare and (start + len(chunk)) % (BATCH_COUNT * 20) == 0:
                        self.console.print(f"feedback   {start + len(chunk):,} of {len(self.rows.rows):,} sent")
        finally:
            await end(watch)
        return len(self.rows.rows)

    async def _send(self, http: httpx.AsyncClient, doors: Doors, items: list[dict[str, Any]]) -> None:
        """Send one batch until the broker has it; the ids make a repetition harmless."""
        for attempt in range(60):
            try:
                answer = await http.post(doors.url("ingest", "/v1/feedback/batch"), json=items)
                if answer.status_code == 200:
                    self._accepted += sum(item["outcome"] == "accepted" for item in answer.json()["items"])
                    return
                if answer.status_code not in {207, 429, 503}:
                    raise WorldError(
                        f"the ingest door refuses the feedback: {answer.json().get('detail', answer.text)}"
                    )
                wait_s = float(answer.headers.get("Retry-After", 1))
            except httpx.TransportError:
                wait_s = min(2.0, 0.2 * (attempt + 1))
            await asyncio.sleep(wait_s)
        raise TimeoutError("the ingest door takes no feedback: see its log")

    async def _watch(self, http: httpx.AsyncClient, doors: Doors, loop: str) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look(http, doors, loop)

    async def _look(self, http: httpx.AsyncClient, doors: Doors, loop: str) -> dict[str, Any]:
        """Show what is new at the operators' door; what it says."""
        try:
            answer = await http.get(doors.url("monitor", f"/api/loops/{loop}"))
        except httpx.TransportError:
            return {}
        seen: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        for cycle in seen.get("cycles", []):
            if cycle["cycle"] > self._cycles_shown:
                self._cycles_shown = cycle["cycle"]
                self.console.print(cycle_line(cycle))
                if cycle["cycle"] % 5 == 0:
                    self.console.print(scores_line(cycle))
        for run in seen.get("evolutions", []):
            line = evolution_line(run)
            if line not in self._runs_shown:
                self._runs_shown.add(line)
                self.console.print(line)
        return seen

    async def _settle(self, http: httpx.AsyncClient, doors: Doors, loop: str, sent: int) -> dict[str, Any]:
        """Look until trainer and monitor have folded everything that was sent."""
        until = time.monotonic() + SETTLE_S
        seen: dict[str, Any] = {}
        while time.monotonic() < until:
            seen = await self._look(http, doors, loop) or seen
            if agrees(sent, self.cycle_size, seen):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        return seen

    async def _ask_for_evolution(self, http: httpx.AsyncClient, doors: Doors, loop: str) -> None:
        """Ask as soon as the monitor has seen the loop's first feedback; before that there is no loop."""
        until = time.monotonic() + SEEN_S
        while True:
            answer = await http.post(
                doors.url("monitor", f"/api/loops/{loop}/evolutions"), json={"settings": EVOLUTION}
            )
            if answer.status_code != 404 or time.monotonic() > until:
                break
            await asyncio.sleep(LOOK_EVERY_S / 2)
        if answer.is_error:
            raise WorldError(f"the operators' door refuses the evolution: {answer.json().get('detail', answer.text)}")

    async def _await_evolution(self, http: httpx.AsyncClient, doors: Doors, loop: str) -> dict[str, Any]:
        until = time.monotonic() + EVOLUTION_S
        while True:
            seen = await self._look(http, doors, loop)
            runs = seen.get("evolutions")  # none at all: the request is still on its way
            if (runs and all(run["state"] == "ended" for run in runs)) or time.monotonic() > until:
                return seen
            await asyncio.sleep(LOOK_EVERY_S)


def agrees(sent: int, cycle_size: int, seen: dict[str, Any]) -> bool:
    """Whether every piece that was sent has been monitored, and is trained on or capped but for a cycle not yet full.

    >>> agrees(330, 100, {"counts": {"monitored": 330, "open": 30}})
    True
    >>> agrees(330, 100, {"counts": {"monitored": 330, "open": 330}})  # the trainer has not got to it yet
    False
    """
    counts = seen.get("counts", {})
    return bool(counts.get("monitored") == sent and counts.get("open", sent) < cycle_size)


def _item(row: FeedbackRow, loop: str, event_id: str) -> dict[str, Any]:
    item = {
        "event_id": event_id,
        "occurred_at": datetime.now(UTC).isoformat(),
        "loop": loop,
        "input_text": row.input_text,
        "output_text": row.output_text,
        "feedback_score": row.feedback_score,
        "metadata": row.metadata,
    }
    return item | ({"user_id": row.user_id} if row.user_id else {})
