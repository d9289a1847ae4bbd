"""What a run says while it goes on and when it ends: events on the log, and progress for whoever looks at the queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError

from meta_learning.errors import BrokerUnavailable
from meta_learning.events import (
    Event,
    EvolutionCompleted,
    EvolutionProgressed,
    EvolutionRequested,
    PromptPromoted,
    derived_id,
)
from meta_learning.registry import Store
from meta_learning.registry.prompts import PromptContent
from meta_learning.serving.ending import end
from meta_learning.streams import Log
from services.evolver import prompts
from services.evolver.ending import Ending

log = logging.getLogger("evolver.reports")
META_EVERY_S = 1.0  # RQ rewrites the whole meta each time
# A broker that stays away longer than this ends this life of the run; its successor says what could not be said.
PATIENCE_S = 60.0
OVERTAKEN = "not put to use: the loop's prompt was changed while the run went on"
_SHOWN = {"iteration", "iterations_max", "best_score", "calls_count", "message"}


class Reports:
    """Speaks for one job on ``stream``. Enter it to start the stream; progress goes out in the background, in order."""

    def __init__(self, stream: Log, store: Store, request: EvolutionRequested, job: Any) -> None:
        self._stream, self._store, self._request, self._job = stream, store, request, job
        self._waiting: asyncio.Queue[Event] = asyncio.Queue()
        self._speaker: asyncio.Task[None] | None = None
        self._meta_at = float("-inf")

    async def __aenter__(self) -> Self:
        await self._patiently(self._stream.start)
        self._speaker = asyncio.create_task(self._speak(), name="progress")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._speaker is not None:
            # What is already said by the run goes out, but nobody waits for a broker that is away.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._waiting.join()
            await end(self._speaker)
        await self._stream.close()

    def progressed(self, iterations_max: int, iteration: int, best: float | None, calls: int, message: str) -> None:
        """Note the end of an iteration; returns at once. A resumed run says its first iterations again, under the same ids."""
        event = self._progress(f"iteration {iteration}", iteration, iterations_max, best, calls, message)
        self._waiting.put_nowait(event)

    async def waits(self, message: str, times: int) -> None:
        """Say that the run steps aside for the ``times``-th time, and why."""
        progress = self._job.meta.get("progress", {})
        event = self._progress(
            f"waits {times}",
            progress.get("iteration", 0),
            progress.get("iterations_max", 0),
            progress.get("best_score"),
            progress.get("calls_count", 0),
            message,
        )
        await self._publish([event])

    async def ends(self, ending: Ending) -> bool:
        """Keep the prompt, if one was found, and say how the run ended: with the promotion in one step, or not at all.

        Where somebody changed the loop's prompt meanwhile the new one is kept, not promoted: it was never compared with that.
        False when it was all said before (by an earlier life that was killed right after).
        """
        async with asyncio.timeout(PATIENCE_S):
            await self._waiting.join()
        version, pointers, events = None, {}, []
        if ending.prompt is not None:
            version, manifest = await asyncio.to_thread(self._keep, ending)
            current = await self._patiently(lambda: self._stream.pointer(self._request.loop, prompts.POINTER))
            if ending.promote and current not in (ending.champion, manifest):
                ending = replace(ending, reason=f"{ending.reason}; {OVERTAKEN}")
            elif ending.promote:
                previous = await asyncio.to_thread(prompts.version_of, self._store, ending.champion)
                events.append(PromptPromoted(**self._about("promoted"), version=version, previous=previous))
                pointers[prompts.POINTER] = manifest
        return await self._publish([self._completed(ending, version), *events], pointers) > 0

    def _keep(self, ending: Ending) -> tuple[str, str]:
        content = PromptContent(text=ending.prompt or "", blocks=dict(ending.blocks), voters=ending.voters)
        numbers = ending.numbers() | ({"price": dict(ending.price)} if ending.price else {})
        return prompts.keep(self._store, self._request.loop, content, ending.champion, numbers)

    async def _speak(self) -> None:
        while True:
            event = await self._waiting.get()
            try:
                await self._publish([event])
                await asyncio.to_thread(self._save_meta, event)
            except (BrokerUnavailable, RedisError):
                log.warning("progress was not said", extra={"run": self._request.run_id})
            finally:
                self._waiting.task_done()

    def _save_meta(self, event: Event) -> None:
        self._job.meta["progress"] = event.model_dump(mode="json", include=_SHOWN)
        now = time.monotonic()
        if now - self._meta_at >= META_EVERY_S:
            self._meta_at = now
            self._job.save_meta()

    async def _publish(self, events: Sequence[Event], pointers: Mapping[str, str] | None = None) -> int:
        return int(await self._patiently(lambda: self._stream.publish(self._request.loop, events, pointers)))

    async def _patiently(self, act: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await act()
            except BrokerUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)

    def _about(self, what: str) -> dict[str, Any]:
        return {
            "event_id": derived_id(what, self._job.id),
            "occurred_at": datetime.now(UTC),
            "loop": self._request.loop,
            "run_id": self._request.run_id,
        }

    def _progress(
        self, what: str, iteration: int, iterations_max: int, best: float | None, calls: int, message: str
    ) -> EvolutionProgressed:
        return EvolutionProgressed(
            **self._about(what),
            iteration=iteration,
            iterations_max=iterations_max,
            best_score=best,
            calls_count=calls,
            message=message,
        )

    def _completed(self, ending: Ending, version: str | None) -> EvolutionCompleted:
        return EvolutionCompleted(
            **self._about("completed"),
            outcome=ending.outcome,
            prompt_version=version,
            reason=ending.reason,
            **ending.numbers(),
        )
