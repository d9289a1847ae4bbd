"""Replies that were paid for, by `Request.digest`: in memory here; a run's log is the durable one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from meta_learning.llm import Reply


class ReplyCache(Protocol):
    """Replies by the identity of their request."""

    def get(self, digest: str) -> Reply | None:
        """The reply as it was paid for, or None."""

    def put(self, digest: str, reply: Reply) -> None:
        """Keep a reply; it is durable against a kill of the process when this returns."""


class MemoryCache:
    """Replies for as long as the process lives."""

    def __init__(self) -> None:
        self._replies: dict[str, Reply] = {}

    def get(self, digest: str) -> Reply | None:
        """The reply, or None."""
        return self._replies.get(digest)

    def put(self, digest: str, reply: Reply) -> None:
        """Keep a reply."""
        self._replies[digest] = reply


def reply_from(said: Mapping[str, Any]) -> Reply:
    """A `Reply` from its JSON object; fields that this version does not know are ignored."""
    return Reply(**{name: value for name, value in said.items() if name in Reply.__dataclass_fields__})
