"""Answers from recordings where there are any, from the model otherwise; equal questions at the same time are asked once."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import Any

from benchmarks.llm_server.protocol import CHOICES_MAX, Body
from benchmarks.llm_server.records import Recording, Records
from meta_learning.llm import LLM, Request

# What is kept with an answer for which any first tokens were asked: the most that OpenAI's endpoint gives.
RANKED_KEPT = 20


class NotRecorded(Exception):
    """Raised in place of a question to a model when only recordings may answer."""


class Answering:
    """One model (None: recordings only) and what it said so far."""

    def __init__(self, llm: LLM | None, records: Records, temperature_default: float) -> None:
        self.model = records.model
        self._llm, self._records, self._temperature_default = llm, records, temperature_default
        self._asked: Counter[str] = Counter()
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    def requests(self, body: Body, tag: str) -> list[Request]:
        """One request for each choice, with the sample that makes it repeatable."""
        plain = body.request(self._temperature_default, 0)
        if not plain.temperature or body.seed is not None:
            first = (body.seed or 0) * CHOICES_MAX
        else:
            asked = f"{tag}\x1f{self.digest(plain)}"
            first = int(hashlib.sha256(f"{asked}\x1f{self._asked[asked]}".encode()).hexdigest()[:12], 16)
            self._asked[asked] += 1
        return [body.request(self._temperature_default, first + number) for number in range(body.n or 1)]

    def digest(self, request: Request) -> str:
        """The name of a recording: what was asked, of which model; not who asked, nor for what."""
        return request.digest("recorded", self.model)

    async def answer(self, request: Request, ranked_count: int) -> tuple[Recording, bool]:
        """The answer, and whether it was recorded before.

        Raises:
            NotRecorded: there is no recording and no model.
        """
        digest = self.digest(request)
        lock, users = self._locks.setdefault(digest, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                known = self._records.recording(digest)
                if known is not None and len(known.first_tokens or ()) >= ranked_count:
                    return known, True
                fresh = await self._fresh(request, ranked_count)
                if known is not None:
                    # The text stays what it was: a near tie may have fallen to the other side this time.
                    fresh = Recording(
                        known.text, known.prompt_tokens, known.completion_tokens, known.ended, fresh.first_tokens
                    )
                self._records.record(digest, fresh)
                return fresh, False
        finally:
            users.pop()
            if not users:
                self._locks.pop(digest, None)

    async def _fresh(self, request: Request, ranked_count: int) -> Recording:
        llm: Any = self._llm
        if llm is None:
            raise NotRecorded(f"no recording of this request of {self.model} ({self.digest(request)[:12]})")
        if hasattr(llm, "complete_ranked"):
            wanted = max(ranked_count, RANKED_KEPT) if ranked_count else 0
            ranked = await llm.complete_ranked(request, wanted)
            reply, ended, first = ranked.reply, ranked.ended, ranked.first_tokens if wanted else None
        else:
            reply, first = await llm.complete(request), None
            ended = reply.completion_tokens < request.max_tokens
        return Recording(reply.text, reply.prompt_tokens, reply.completion_tokens, ended, first)
