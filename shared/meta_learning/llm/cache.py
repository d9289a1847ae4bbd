"""Replies that were paid for, by `Request.digest`: in memory, or on disk for all runs; a run's log is one of its own.

>>> import asyncio, tempfile
>>> from meta_learning.llm import Message, Request
>>> from meta_learning.llm.scripted import ScriptedLLM
>>> hello = Request((Message("user", "hello"),))
>>> with tempfile.TemporaryDirectory() as folder:
...     llm = remembering(ScriptedLLM(lambda request: "hi"), FileCache(folder))
...     [asyncio.run(llm.complete(hello)).cached for _ in range(2)]
[False, True]
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from meta_learning.errors import StoreUnavailable
from meta_learning.llm import LLM, Purpose, Reply, Request
from meta_learning.llm.ledger import Entry


class ReplyCache(Protocol):
    """Replies by the identity of their request."""

    def get(self, digest: str) -> Reply | None:
        """The reply as it was paid for, or None."""

    def put(self, digest: str, reply: Reply, purpose: Purpose = "task") -> None:
        """Keep a reply; it is durable against a kill of the process when this returns."""

    def failed(self, digest: str, entry: Entry) -> None:
        """Note that an attempt brought no reply: it was a call all the same."""


class MemoryCache:
    """Replies for as long as the process lives."""

    def __init__(self) -> None:
        self._replies: dict[str, Reply] = {}

    def get(self, digest: str) -> Reply | None:
        """The reply, or None."""
        return self._replies.get(digest)

    def put(self, digest: str, reply: Reply, purpose: Purpose = "task") -> None:
        """Keep a reply."""
        self._replies[digest] = reply

    def failed(self, digest: str, entry: Entry) -> None:
        """The ledger knows; nothing has to outlive it here."""


class FileCache:
    """Replies as files, one each, for every run on this machine. Any number of processes may share the folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(self, digest: str) -> Reply | None:
        """The reply; None also where its file is damaged, since it can be asked for again."""
        try:
            said = json.loads(self._path(digest).read_bytes())
            return reply_from(said) if isinstance(said, dict) else None
        except (OSError, ValueError, TypeError):
            return None

    def put(self, digest: str, reply: Reply, purpose: Purpose = "task") -> None:
        """Keep a reply, whole or not at all.

        Raises:
            StoreUnavailable: the disk refuses.
        """
        path = self._path(digest)
        beside = path.with_name(f".{uuid.uuid4().hex}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(asdict(reply), ensure_ascii=False), encoding="utf-8")
            os.replace(beside, path)
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be written: {error.strerror or error}") from error

    def failed(self, digest: str, entry: Entry) -> None:
        """Nothing to keep: another run shall ask."""

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.json"


class RememberingLLM:
    """See `remembering`."""

    def __init__(self, llm: LLM, cache: ReplyCache) -> None:
        self.provider, self.model, self.capabilities = llm.provider, llm.model, llm.capabilities
        self._llm, self._cache = llm, cache

    async def complete(self, request: Request) -> Reply:
        """What was answered before, marked ``cached``, or a new answer."""
        digest = request.digest(self.provider, self.model)
        known = self._cache.get(digest)
        if known is not None:
            return replace(known, cached=True)
        reply = await self._llm.complete(request)
        self.capabilities = self._llm.capabilities
        self._cache.put(digest, reply, request.purpose)
        return reply

    async def close(self) -> None:
        """Close the model within."""
        await self._llm.close()


def remembering(llm: LLM, cache: ReplyCache) -> LLM:
    """``llm`` that never asks twice what ``cache`` holds. Give each server a cache of its own: a digest does not name it."""
    return RememberingLLM(llm, cache)


def reply_from(said: Mapping[str, Any]) -> Reply:
    """A `Reply` from its JSON object; fields that this version does not know are ignored."""
    return Reply(**{name: value for name, value in said.items() if name in Reply.__dataclass_fields__})
