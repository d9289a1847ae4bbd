"""The control API: what is known (GET), and what an operator asks for (POST, PUT).

A change is never made here: it is a command on the loop's stream or an event, so it is folded in order, kept, and survives a
crash. The answer is 202 with the id under which it will show up.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from meta_learning.events import SLUG_PATTERN
from services.monitor import shown
from services.monitor.operator import Operator
from services.monitor.view import View

SETTINGS_BYTES_MAX = 16 * 1024
TEXT_LENGTH_MAX = 32 * 1024

LoopName = Annotated[str, Path(pattern=SLUG_PATTERN)]
RunId = Annotated[str, Path(pattern=SLUG_PATTERN)]


def _small(settings: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(settings)) > SETTINGS_BYTES_MAX:
        raise ValueError(f"is more than {SETTINGS_BYTES_MAX} bytes of JSON")
    return settings


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class PromoteBody(_Body):
    """Which version is to take over."""

    version: Annotated[str, Field(min_length=1, max_length=128)]


class EvolutionBody(_Body):
    """What the run is to do; `{}` takes the defaults."""

    settings: Annotated[dict[str, Any], AfterValidator(_small)] = Field(default_factory=dict)


class PromptBody(_Body):
    """The prompt that the loop is to use."""

    text: Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH_MAX)]


class ReplayBody(_Body):
    """Which dead letters are to be tried again."""

    ids: Annotated[list[Annotated[str, Field(min_length=1, max_length=128)]], Field(min_length=1, max_length=1000)]


def reading_doors(view: View, operator: Operator) -> APIRouter:
    """What is known."""
    router = APIRouter()

    @router.get("/loops")
    async def loops() -> dict[str, Any]:
        return {"loops": [shown.loop_in_list(loop) for loop in view.loops().values()]}

    @router.get("/loops/{loop}")
    async def loop(loop: LoopName) -> dict[str, Any]:
        return shown.loop_in_full(view.loop(loop))

    @router.get("/loops/{loop}/versions")
    async def versions(loop: LoopName) -> dict[str, Any]:
        state = view.loop(loop).state
        return {"champion": state.champion, "versions": shown.versions(state)}

    @router.get("/loops/{loop}/prompt")
    async def prompt(loop: LoopName) -> dict[str, Any]:
        return await operator.prompt(loop)

    @router.get("/evolutions")
    async def evolutions() -> dict[str, Any]:
        return {"evolutions": [run.model_dump(mode="json") for run in shown.runs(view)]}

    @router.get("/dead-letters")
    async def dead_letters() -> dict[str, Any]:
        return {"dead_letters": await operator.dead_letters()}

    @router.get("/system")
    async def system() -> dict[str, Any]:
        return shown.system(view)

    return router


def changing_doors(operator: Operator) -> APIRouter:
    """What an operator asks for."""
    router = APIRouter()

    @router.post("/loops/{loop}/promote")
    async def promote(loop: LoopName, body: PromoteBody) -> JSONResponse:
        return JSONResponse(await operator.promote(loop, body.version), status_code=202)

    @router.post("/loops/{loop}/rollback")
    async def rollback(loop: LoopName) -> JSONResponse:
        return JSONResponse(await operator.roll_back(loop), status_code=202)

    @router.post("/loops/{loop}/evolutions")
    async def evolve(loop: LoopName, body: EvolutionBody) -> JSONResponse:
        return JSONResponse(await operator.evolve(loop, body.settings), status_code=202)

    @router.post("/loops/{loop}/evolutions/{run_id}/cancel")
    async def cancel(loop: LoopName, run_id: RunId) -> JSONResponse:
        return JSONResponse(await operator.cancel(loop, run_id), status_code=202)

    @router.put("/loops/{loop}/prompt")
    async def set_prompt(loop: LoopName, body: PromptBody) -> dict[str, Any]:
        return await operator.set_prompt(loop, body.text)

    @router.post("/dead-letters/replay")
    async def replay(body: ReplayBody) -> dict[str, Any]:
        return {"replayed": await operator.replay(body.ids)}

    return router
