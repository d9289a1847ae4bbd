"""The port to a vendor's batch endpoint. Adapters: `meta_learning.llm.batches`; the fake is `scripted.ScriptedBatches`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from meta_learning.llm import Reply, Request
from meta_learning.llm.batch_book import Intent

Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """A batch that was not taken, or came to nothing as a whole: none of its questions was asked, and nothing is billed.

    ``passing``: the vendor may take another one later (its queue is full, say).
    """

    reason: str
    passing: bool


@dataclass(frozen=True, slots=True)
class Unsure:
    """One of these batches may be what was looked for; the vendor shows that only once they have ended."""

    batch_ids: tuple[str, ...]


class Batches(Protocol):
    """Takes questions as a batch, and brings their answers hours later."""

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str | Failed:
        """Send the requests by their digests; the batch's id.

        Raises:
            LLMUnavailable: nobody knows whether it was taken.
            ConfigurationError: it was not.
        """

    async def find(self, intent: Intent, known: Collection[str]) -> str | Unsure | None:
        """The batch that was taken under ``intent``, if one was, and no other; those that are ``known`` are others.

        Raises:
            LLMUnavailable: the vendor does not say; ask again.
        """

    async def answers(self, batch_id: str) -> Answers | Failed | None:
        """What came back by digest, as the vendor says it; None while the batch is worked on.

        Raises:
            LLMUnavailable: the vendor does not say; ask again.
        """

    async def cancel(self, batch_id: str) -> None:
        """Call a batch off; what is ready by then still comes.

        Raises:
            LLMUnavailable, CallerError: it goes on.
        """

    def read(self, answer: Any, request: Request) -> Reply | None:
        """The reply to one request; None where its batch ended before it was asked, or where a parameter of it was refused that is
        left out from now on: it is asked again, outside of a batch.

        Raises:
            LLMUnavailable, CallerError: this request failed in its batch.
        """
