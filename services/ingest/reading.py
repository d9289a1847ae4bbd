"""The doors that applications read from: the prompt to use now, and candidates with the one to show first.

The champion scores the candidates; the first place is drawn by the policy of the setting ``META_LEARNING_EXPLORATION``, with a
known probability, and is the same again for the same unit. ``greedy`` there, or ``explore: false`` in a request, turns it off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from meta_learning.acla import Prompt
from meta_learning.clrs.acting import Choice
from meta_learning.errors import NotFound, WorldError
from meta_learning.events import SLUG_PATTERN, Text
from meta_learning.registry.prompts import PromptContent, Voter
from services.ingest.acting import Acting
from services.ingest.acting import Request as Wanted
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


class Turn(BaseModel):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class Sent(BaseModel):
    """What to send to the model, exactly as it was measured: worked examples are turns of the chat."""

    messages: list[Turn]
    input: str = Field(description="Replace this text in the last message, wherever it stands there, by the input.")


class ServedVoter(Voter):
    """One of several prompts that vote, with what to send."""

    chat: Sent


class CurrentPrompt(BaseModel):
    """The prompt to use now: send ``chat`` with the input in its place; ``text`` is the same to be read.

    Send ``prompt_version`` back with the feedback on what it led to.

    Where several prompts vote, ``voters`` has all of them: ask each, and take the label with the largest product of chances (the
    log-probabilities with the bias added, times the sharpness), or the most frequent answer, the first voter's where two are.
    """

    loop: str
    prompt_version: str
    digest: str = Field(description="The digest of the version's manifest in the registry.")
    text: str
    chat: Sent
    blocks: Any
    voters: list[ServedVoter] = Field(default_factory=list, description="Empty where one prompt answers alone.")
    price: dict[str, Any] | None = Field(
        None, description="What a question takes: calls, tokens and US dollars, as far as they are known."
    )


class RankRequest(BaseModel):
    """Candidates to put in order."""

    model_config = ConfigDict(strict=True, extra="ignore")

    input_text: Text
    candidates: Annotated[list[Text], Field(min_length=1, max_length=CANDIDATES_COUNT_MAX)]
    unit: UnitName | None = Field(
        None,
        description="Who or what it is for: the same unit gets the same answer; without one each request draws anew.",
    )
    explore: bool = Field(True, description="False: the best candidate first, whatever the operator set.")


class Ranked(BaseModel):
    """One candidate with the feedback that the model expects for it; ``index`` is its place in the request."""

    index: int
    text: str
    score: float | None


class Ranking(BaseModel):
    """The candidate to show, then the others, best first. Without a champion there are no scores and no version."""

    model_config = ConfigDict(protected_namespaces=())

    loop: str
    unit: str = Field(description="The unit of the request, or the one that was made for it.")
    model_version: str | None
    digest: str | None
    propensity: float = Field(description="The probability with which the first candidate was put first.")
    ask: bool = Field(description="Whether the user's judgement of the first candidate is worth asking for.")
    ask_propensity: float = Field(description="The probability with which that was true.")
    metadata: dict[str, Any] = Field(
        description="Send it back in the metadata of the feedback, beside `model_version` and `propensity`."
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
    acting: Acting

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
            chat=_sent(content.text, content.has_system_turn),
            blocks=content.blocks,
            voters=[
                ServedVoter(**one.model_dump(), chat=_sent(one.text, content.has_system_turn)) for one in content.voters
            ],
            price=manifest.numbers.get("price"),
        )

    async def rank(self, loop: str, asked: RankRequest) -> Ranking:
        """Raises `NotFound` for an unknown loop, `WorldError` for a model that cannot be loaded or fails."""
        champion = await self.models.current(loop)
        wanted = Wanted(loop, asked.input_text, asked.candidates, asked.unit, asked.explore)
        if champion is None:
            await self._check_exists(loop)
            choice = self.acting.choice(wanted, None, None, None)
        else:
            running = asyncio.get_running_loop()
            choice = await running.run_in_executor(self.executor, _chosen, champion, wanted, self.acting)
            self.metrics.ranked.inc(len(asked.candidates))
        choice = self.acting.with_asking(loop, choice)
        self.metrics.chose(choice)
        return _ranking(loop, choice, champion)

    async def _check_exists(self, loop: str) -> None:
        if not await self.loops.has(loop):
            raise NotFound(f"there is no loop {loop!r}: its first feedback creates it")


def _sent(text: str, has_system_turn: bool) -> Sent:
    chat = Prompt.parse(text).chat()
    return Sent.model_validate((chat if has_system_turn else chat.in_one_turn()).as_json())


def _chosen(champion: Champion[Predicts], wanted: Wanted, acting: Acting) -> Choice:
    version = champion.manifest.version
    try:
        scores = champion.content.predict([(wanted.input_text, candidate) for candidate in wanted.candidates])
    except Exception as error:
        raise WorldError(f"model {version} failed: {type(error).__name__}") from error
    return acting.choice(wanted, scores, version, champion.manifest.cycle)


def _ranking(loop: str, choice: Choice, champion: Champion[Predicts] | None) -> Ranking:
    return Ranking(
        loop=loop,
        unit=choice.shown.unit,
        model_version=choice.model_version,
        digest=champion.digest if champion else None,
        propensity=choice.propensity,
        ask=bool(choice.shown.asked),
        ask_propensity=choice.shown.ask_propensity or 1.0,
        metadata=choice.shown.metadata(),
        candidates=[
            Ranked(index=place, text=text, score=score if champion else None) for place, text, score in choice.ranked
        ],
    )


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
