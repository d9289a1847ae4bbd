"""What an operator can do, as events and commands on the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from meta_learning.acla.request import EvolutionSettings
from meta_learning.errors import CallerError, NotFound
from meta_learning.events import EvolutionCancelRequested, EvolutionRequested, PromoteModel, PromptPromoted
from meta_learning.registry import Store
from meta_learning.registry.prompts import prompt_blob, read_prompt
from meta_learning.registry.versions import Manifest, manifest_of, publish
from meta_learning.streams import DeadLetter, Log
from services.monitor.view import View

BODY_SHOWN_LENGTH = 500


class Operator:
    """The operator's hand. ``now`` and ``new_id`` are passed in; an id is at least 12 letters or digits."""

    def __init__(
        self, log: Log, store: Store, view: View, now: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        self._log = log
        self._store = store
        self._view = view
        self._now = now
        self._new_id = new_id

    async def promote(self, loop: str, version: str) -> dict[str, Any]:
        """Ask the trainer to put ``version`` in charge.

        Raises:
            NotFound: the loop never promoted such a version, so nobody kept it.
        """
        state = self._view.loop(loop).state
        if version not in state.promotable:
            raise NotFound(f"version: {version[:64]!r} was never in charge of loop {loop!r}, so it was not kept")
        return await self._command_promotion(loop, version)

    async def roll_back(self, loop: str) -> dict[str, Any]:
        """Ask the trainer for the version that the champion replaced.

        Raises:
            CallerError: there is none.
        """
        target = self._view.loop(loop).state.rollback_target()
        if target is None:
            raise CallerError(f"loop {loop!r} has no earlier champion to go back to")
        return await self._command_promotion(loop, target)

    async def _command_promotion(self, loop: str, version: str) -> dict[str, Any]:
        command = PromoteModel(event_id=self._new_id(), occurred_at=self._now(), loop=loop, version=version)
        await self._log.command(loop, command)
        return {"loop": loop, "version": version, "event_id": command.event_id}

    async def evolve(self, loop: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Ask the evolver for a run.

        Raises:
            NotFound: there is no such loop.
            ConfigurationError: a setting is unknown or out of bounds.
        """
        self._view.loop(loop)
        EvolutionSettings.read(settings)
        run_id = f"evo-{self._new_id()[:12]}"
        request = EvolutionRequested(
            event_id=self._new_id(), occurred_at=self._now(), loop=loop, run_id=run_id, settings=settings
        )
        await self._log.publish(loop, [request])
        return {"loop": loop, "run_id": run_id, "event_id": request.event_id}

    async def cancel(self, loop: str, run_id: str) -> dict[str, Any]:
        """Ask the evolver to stop a run between two calls.

        Raises:
            NotFound: the loop has no such run.
            CallerError: the run has ended.
        """
        run = next((run for run in self._view.loop(loop).state.runs if run.run_id == run_id), None)
        if run is None:
            raise NotFound(f"run_id: loop {loop!r} has no run {run_id!r}")
        if run.state == "ended":
            raise CallerError(f"run {run_id!r} has ended already: {run.outcome}")
        event = EvolutionCancelRequested(event_id=self._new_id(), occurred_at=self._now(), loop=loop, run_id=run_id)
        await self._log.publish(loop, [event])
        return {"loop": loop, "run_id": run_id, "event_id": event.event_id}

    async def set_prompt(self, loop: str, text: str) -> dict[str, Any]:
        """Put the operator's own prompt to use at once."""
        previous = await self._log.pointer(loop, "prompt")
        manifest, version = await asyncio.to_thread(self._publish_prompt, loop, text, previous)
        event = PromptPromoted(
            event_id=self._new_id(),
            occurred_at=self._now(),
            loop=loop,
            version=version,
            previous=await asyncio.to_thread(self._version_behind, previous),
        )
        await self._log.publish(loop, [event], {f"prompt:{loop}": manifest})
        return {"loop": loop, "version": version, "event_id": event.event_id}

    def _publish_prompt(self, loop: str, text: str, parent: str | None) -> tuple[str, str]:
        content = self._store.put(prompt_blob(text))
        version = content[:16]
        manifest = Manifest(kind="prompt", loop=loop, version=version, content=content, parent=parent)
        return publish(self._store, manifest), version

    def _version_behind(self, manifest: str | None) -> str | None:
        if manifest is None or not self._store.has(manifest):
            return None
        return manifest_of(self._store, manifest).version

    async def prompt(self, loop: str) -> dict[str, Any]:
        """The prompt that the loop uses now.

        Raises:
            NotFound: it has none.
        """
        pointer = await self._log.pointer(loop, "prompt")
        if pointer is None:
            raise NotFound(f"loop {loop!r} has no prompt yet")
        return await asyncio.to_thread(self._read_prompt, loop, pointer)

    def _read_prompt(self, loop: str, pointer: str) -> dict[str, Any]:
        manifest = manifest_of(self._store, pointer)
        content = read_prompt(self._store.get(manifest.content))
        return {"loop": loop, "version": manifest.version, "text": content.text}

    async def dead_letters(self) -> list[dict[str, Any]]:
        """The oldest dead letters, with the beginning of what they held."""
        return [_letter(letter) for letter in await self._log.dead_letters()]

    async def replay(self, ids: list[str]) -> int:
        """Try dead letters again; how many were known."""
        return await self._log.replay(ids)


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "stream": letter.source.stream,
        "entry_id": letter.source.id,
        "type": letter.source.type,
        "reason": letter.reason,
        "role": letter.role,
        "parked_at": datetime.fromtimestamp(letter.parked_at_ms / 1000, UTC).isoformat(),
        "body": letter.source.body[:BODY_SHOWN_LENGTH].decode(errors="replace"),
    }
