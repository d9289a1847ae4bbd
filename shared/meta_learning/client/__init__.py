"""What an application installs (extra ``client``) to send feedback, and to ask for the current prompt and ranking.

```python
from meta_learning.client import FeedbackClient

with FeedbackClient("http://127.0.0.1:8001") as client:
    ranking = client.rank("support", "Where is my parcel?", ["On its way.", "No idea."])
    shown = ranking.candidates[0].text                    # show it; ranking.ask says whether to ask for a judgement
    client.send(**ranking.judged(1.0))                    # later, when the user has judged it
    prompt = client.prompt("support")                     # the prompt that the loop uses now …
    messages = prompt.messages("Where is my parcel?")     # … and what to send to the model for an input, as it was measured
    report = client.send_many({"loop": "support", **row} for row in rows)     # any number, in batches
    report.accepted, report.duplicate, report.refused
```

Every event gets its id here, before it is sent for the first time. So a sending whose answer was lost is sent again with the same
id, and the server counts it once. `AsyncFeedbackClient` has the same methods to be awaited.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self, TypeVar

import httpx

from meta_learning.client.answers import CurrentPrompt, RankedCandidate, Ranking, Refused, Reply, Report, Sent
from meta_learning.client.dialogue import Dialogue, Feedback, Flow

__all__ = [
    "AsyncFeedbackClient",
    "CurrentPrompt",
    "FeedbackClient",
    "RankedCandidate",
    "Ranking",
    "Refused",
    "Report",
    "Sent",
]

_T = TypeVar("_T")


class FeedbackClient(Dialogue):
    """Sends feedback and asks for prompts and rankings; safe to use from several threads.

    ``attempts_max``: how often a sending is tried while the server says "later" or does not answer; waits grow from 0.2 s, or
    are what the server asks for. Prompts and rankings are asked for once. ``transport`` and ``sleep`` are for tests and for proxies.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        attempts_max: int = 6,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(base_url, api_key, timeout_s, attempts_max)
        self._http = httpx.Client(transport=transport)
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, **fields: Any) -> Sent:
        """Send one piece of feedback: the fields of `FeedbackReceived`; ``event_id`` and ``occurred_at`` may be left out.

        Raises:
            MalformedEvent: a field is wrong; nothing was sent, or the server refused it.
            CallerError: the key is refused, or the ``event_id`` belongs to other content.
            BackPressure, WorldError: not taken after all attempts; it may be sent again with the same ``event_id``.
        """
        return self._run(self._send(fields))

    def send_many(self, feedback: Iterable[Feedback]) -> Report:
        """Send any number of events (or mappings of their fields) in batches; bad ones are reported, good ones are taken.

        Raises:
            CallerError: the key is refused.
            BackPressure, WorldError: the rest was not taken after all attempts; all may be sent again if they had ids of their own.
        """
        return self._run(self._send_many(feedback))

    def prompt(self, loop: str, unit: str | None = None) -> CurrentPrompt:
        """The prompt to use now; ``unit`` is who or what it is for. Raises `NotFound` when the loop has none yet."""
        return self._run(self._prompt(loop, unit))

    def rank(
        self, loop: str, input_text: str, candidates: Iterable[str], unit: str | None = None, explore: bool = True
    ) -> Ranking:
        """``candidates``, the one to show first; the same for the same ``unit``. ``explore=False``: always the best first.

        Raises `NotFound` for a loop without any feedback.
        """
        return self._run(self._rank(loop, input_text, candidates, unit, explore))

    def _run(self, flow: Flow[_T]) -> _T:
        reply: Reply = None
        try:
            while True:
                step = flow.send(reply)
                reply = self._step(step)
        except StopIteration as end:
            result: _T = end.value
            return result

    def _step(self, step: httpx.Request | float) -> Reply:
        if isinstance(step, float):
            self._sleep(step)
            return None
        try:
            return self._http.send(step)
        except httpx.TransportError as error:
            return error


class AsyncFeedbackClient(Dialogue):
    """`FeedbackClient` with methods to be awaited."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        attempts_max: int = 6,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(base_url, api_key, timeout_s, attempts_max)
        self._http = httpx.AsyncClient(transport=transport)
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, **fields: Any) -> Sent:
        """See `FeedbackClient.send`."""
        return await self._run(self._send(fields))

    async def send_many(self, feedback: Iterable[Feedback]) -> Report:
        """See `FeedbackClient.send_many`."""
        return await self._run(self._send_many(feedback))

    async def prompt(self, loop: str, unit: str | None = None) -> CurrentPrompt:
        """See `FeedbackClient.prompt`."""
        return await self._run(self._prompt(loop, unit))

    async def rank(
        self, loop: str, input_text: str, candidates: Iterable[str], unit: str | None = None, explore: bool = True
    ) -> Ranking:
        """See `FeedbackClient.rank`."""
        return await self._run(self._rank(loop, input_text, candidates, unit, explore))

    async def _run(self, flow: Flow[_T]) -> _T:
        reply: Reply = None
        try:
            while True:
                step = flow.send(reply)
                reply = await self._step(step)
        except StopIteration as end:
            result: _T = end.value
            return result

    async def _step(self, step: httpx.Request | float) -> Reply:
        if isinstance(step, float):
            await self._sleep(step)
            return None
        try:
            return await self._http.send(step)
        except httpx.TransportError as error:
            return error
