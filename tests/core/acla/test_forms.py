"""An author that can be held to a form: who is, what is taken from the form, and that a killed run asks the same again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent, MemoryRunStore
from meta_learning.errors import CallerError, ParameterRefused
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.retry import Retrying
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import config, model, samples, with_examples

HELD = Reply('{"failure": "haste", "rule": "Take your time."}', "", structured=True)
ONLY_RULES: dict[str, Any] = {"evolution_strategies": ["error_analysis"], "max_iterations": 8, "gate_samples": 20}


class Killed(BaseException):
    """Like SIGKILL."""


def author(diagnosed: Callable[[Request], Any], structured: bool = True, dies_at: int = -1) -> ScriptedLLM:
    """A model that answers requests with a schema by ``diagnosed``."""
    llm = model(with_examples)
    answer = llm.answer
    llm.capabilities = Capabilities(temperature=True, concurrency_max=1, structured=structured)

    def said(request: Request) -> Any:
        if len(llm.requests) == dies_at:
            raise Killed
        return answer(request) if request.schema is None else diagnosed(request)

    llm.answer = said
    return llm


def refusing_once() -> Callable[[Request], Any]:
    """As an adapter does: it learns that the schema is refused, and leaves it out from then on."""
    learnt: list[Request] = []

    def said(request: Request) -> Any:
        learnt.append(request)
        return ParameterRefused("schema") if len(learnt) == 1 else "```\nFailure: haste\nTake your time.\n```"

    return said


async def run(llm: ScriptedLLM, store: MemoryRunStore | None = None) -> dict[str, Any]:
    agent = AdaptiveCurriculumAgent(
        config(**ONLY_RULES, min_performance_threshold=1.0), llm, store=store, run_id="r", retry=Retrying()
    )
    return await agent.run_curriculum(samples, num_samples=20)


def notes(results: dict[str, Any]) -> list[str]:
    return [one["note"] for one in results["lineage"]]


def authored(llm: ScriptedLLM) -> list[bool]:
    """Of each request to the author whether it had a schema."""
    return [one.schema is not None for one in llm.requests if one.purpose == "proposer"]


async def test_an_author_that_can_be_held_to_a_form_is_and_one_that_cannot_is_not() -> None:
    llm = author(lambda request: HELD)
    assert "against: haste" in notes(await run(llm))
    assert authored(llm)
    assert all(authored(llm))
    other = author(lambda request: HELD, structured=False)
    await run(other)
    assert authored(other)
    assert not any(authored(other))


@pytest.mark.parametrize(
    "diagnosed", [refusing_once, lambda: lambda request: CallerError("Invalid parameter")], ids=["dropped", "refused"]
)
async def test_a_refused_form_is_asked_for_once_also_by_a_run_that_is_killed_at_any_call(
    diagnosed: Callable[[], Callable[[Request], Any]],
) -> None:
    unbroken = author(diagnosed())
    wanted = await run(unbroken)
    forms = authored(unbroken)
    # What an adapter drops is asked again by the retry loop, in a request of the same identity.
    assert sum(forms) == (2 if diagnosed is refusing_once else 1)
    assert not all(forms)
    for number in range(1, len(unbroken.requests) + 1, 23):
        store = MemoryRunStore()
        with pytest.raises(Killed):
            await run(author(diagnosed(), dies_at=number), store)
        resumed = await run(author(diagnosed()), store)
        assert {**resumed, "spent": 0} == {**wanted, "spent": 0}


@pytest.mark.parametrize("text", ['{"failure": "cut', json.dumps({"failure": "x", "rule": " "}), "[]", ""])
@pytest.mark.parametrize("structured", [True, False])
async def test_half_a_form_is_no_rule(text: str, structured: bool) -> None:
    llm = author(lambda request: Reply(text, "", structured=structured))
    await run(llm)
    told = [one.text for request in llm.requests if request.purpose == "task" for one in request.messages]
    assert any("A new idea" in one for one in told) is not structured, (
        "who is not held to a form is not asked for it again"
    )
    assert not [one for one in told if any(sign in one for sign in ("{", "[]", "cut"))]
