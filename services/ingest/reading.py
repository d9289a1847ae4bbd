"""The doors that applications read from: the prompt to use now, and candidates in the order the model prefers.

They take no part in splits yet: everybody gets the champion, so the first place has propensity 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from meta_learning.errors import NotFound, WorldError
from meta_learning.events import SLUG_PATTERN, Text
from meta_learning.registry.prompts import PromptContent
from services.ingest.bodies import media_type
from services.ingest.champions import Champion, Champions, KnownLoops
from services.ingest.keys import Keys
from services.ingest.metrics import IngestMetrics

CANDIDATES_COUNT_MAX = 100
# Stricter than the feedback doors: the framework reads a body as JSON only when its sender says that it is.
_JSON_ONLY = frozenset({"application/json"})
LoopName = Annotated[str, Path(pattern=SLUG_PATTERN, description="The application or task.")]
UnitName = Annotated[str, Field(min_length=1, max_length=128)]


class Predicts(Protocol):
    """What the rank door needs of a model."""

    def predict(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """One expected score in [0, 1] a pair of (input, output)."""


class CurrentPrompt(BaseModel):
    """The prompt to use now. Send ``prompt_version`` back with the feedback on what it led to."""

    loop: str
    prompt_version: str
    digest: str = Field(description="The digest of the version's manifest in the registry.")
    text: str
    blocks: Any


class RankRequest(BaseModel):
    """Candidates to put in order."""

    model_config = ConfigDict(strict=True, extra="ignore")

    input_text: Text
    candidates: Annotated[list[Text], Field(min_length=1, max_length=CANDIDATES_COUNT_MAX)]
    unit: UnitName | None = None


class Ranked(BaseModel):
    """One candidate with the feedback that the model expects for it; ``index`` is its place in the request."""

    index: int
    text: str
    score: float | None


class Ranking(BaseModel):
    """Candidates, best first. Without a champion they come in the order given, with no scores and no version."""

    model_config = ConfigDict(protected_namespaces=())

    loop: str
    model_version: str | None
    digest: str | None
    propensity: float = Field(
        description="The probability with which the first candidate was put first: 1.0, for the order is deterministic."
    )
    candidates: list[Ranked]


@dataclass(frozen=True, slots=True)
class Reading:
    """Answers from the champions; predictions run in ``executor``, off the event loop."""

    models: Champions[Predicts]
    prompts: Champions[PromptContent]
    loops: KnownLoops
    executor: Executor
    metrics: IngestMetrics

    async def prompt(self, loop: str) -> CurrentPrompt:
        """Raises `NotFound` for an unknown loop and for one without a prompt."""
        champion = await self.prompts.current(loop)
        if champion is None:
            await self._check_exists(loop)
            raise NotFound(
                f"loop {loop!r} has no prompt yet: promote one at the monitor (/docs there), or run an evolution that finds one"
            )
        content, manifest = champion.content, champion.manifest
        return CurrentPrompt(
            loop=loop,
            prompt_version=manifest.version,
            digest=champion.digest,
            text=content.text,
            blocks=content.blocks,
        )

    async def rank(self, loop: str, asked: RankRequest) -> Ranking:
        """Raises `NotFound` for an unknown loop, `WorldError` for a model that cannot be loaded or fails."""
        champion = await self.models.current(loop)
        if champion is None:
            await self._check_exists(loop)
            given = [Ranked(index=index, text=text, score=None) for index, text in enumerate(asked.candidates)]
            return Ranking(loop=loop, model_version=None, digest=None, propensity=1.0, candidates=given)
        ranked = await asyncio.get_running_loop().run_in_executor(self.executor, _ranked, champion, asked)
        self.metrics.ranked.inc(len(ranked))
        return Ranking(
            loop=loop,
            model_version=champion.manifest.version,
            digest=champion.digest,
            propensity=1.0,
            candidates=ranked,
        )

    async def _check_exists(self, loop: str) -> None:
        if not await self.loops.has(loop):
            raise NotFound(f"there is no loop {loop!r}: its first feedback creates it")


def _ranked(champion: Champion[Predicts], asked: RankRequest) -> list[Ranked]:
    try:
        scores = champion.content.predict([(asked.input_text, candidate) for candidate in asked.candidates])
    except Exception as error:
        raise WorldError(f"model {champion.manifest.version} failed: {type(error).__name__}") from error
    ranked = [
        Ranked(index=index, text=text, score=float(score))
        for index, (text, score) in enumerate(zip(asked.candidates, scores, strict=True))
    ]
    # A tie keeps the order of the request, so the same request always gets the same answer.
    return sorted(ranked, key=lambda item: (-(item.score or 0.0), item.index))


def reading_doors(reading: Reading, keys: Keys) -> APIRouter:
    """The routes."""

    def admitted(request: Request) -> None:
        keys.admit(request.headers.get("authorization", ""), "read", request.headers.get("x-api-key", ""))

    def is_json(request: Request) -> None:
        media_type(request.scope, _JSON_ONLY)

    router = APIRouter(prefix="/v1/loops/{loop}", tags=["Reading"], dependencies=[Depends(admitted)])

    @router.get("/prompt", summary="The prompt to use now")
    async def prompt(
        loop: LoopName,
        unit: Annotated[UnitName | None, Query(description="Who or what the prompt is for; sticky per unit.")] = None,
    ) -> CurrentPrompt:
        return await reading.prompt(loop)

    @router.post(
        "/rank", summary="Candidates in the order that the current model prefers", dependencies=[Depends(is_json)]
    )
    async def rank(loop: LoopName, asked: RankRequest) -> Ranking:
        return await reading.rank(loop, asked)

    return router
