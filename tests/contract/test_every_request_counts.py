"""Every request on the wire is an attempt that the ledger has seen, also while an adapter finds out what its server refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import openai
import pytest

from meta_learning.errors import BudgetExhausted, CallerError, LLMUnavailable, ParameterRefused
from meta_learning.llm import LLM, Reply
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.retry import REFUSED_MAX, Retrying, RetryPolicy
from meta_learning.llm.scripted import ScriptedLLM
from tests.contract.asking import ASK, LABELLED
from tests.contract.llm_servers import Script, serving

ALTERNATIVES = [("pos", -0.2), ("neg", -1.8)]


def at_most_five(body: dict[str, Any]) -> str | None:
    many = body.get("top_logprobs", 0) > 5
    return "Requested sample logprobs of 20, which is greater than max allowed: 5" if many else None


def another_limit(body: dict[str, Any]) -> str | None:
    old = "max_tokens" in body
    return "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead." if old else None


def counted(url: str, calls_max: int | None = None) -> tuple[LLM, Ledger]:
    """An adapter that asks again after a refused parameter, but after nothing else."""
    ledger = Ledger(Caps(calls=calls_max))
    return metered(OpenAILLM("known", base_url=url), ledger, retry=Retrying(RetryPolicy(attempts_max=1))), ledger


async def asked_at_once(llm: LLM, count: int) -> list[Any]:
    asked = [replace(LABELLED, sample=number) for number in range(count)]
    try:
        return await asyncio.gather(*map(llm.complete, asked), return_exceptions=True)
    finally:
        await llm.close()


@pytest.mark.parametrize(
    "script",
    [
        Script(refused=("temperature", "logprobs")),
        Script(refuses=at_most_five, logprobs=ALTERNATIVES),
        Script(refuses=another_limit),
    ],
    ids=["two parameters", "too many alternatives", "another name of the limit"],
)
async def test_a_request_that_names_a_refused_parameter_is_a_row_also_when_eight_first_calls_run_at_once(
    script: Script,
) -> None:
    with serving(script) as url:
        llm, ledger = counted(url)
        replies = await asked_at_once(llm, 8)
    assert [one.text for one in replies] == ["positive"] * 8
    assert len(ledger.entries) == ledger.spent.calls == len(script.requests) > 8
    assert {entry.error for entry in ledger.entries} == {None, "ParameterRefused"}


REFUSING = [
    (Script(refused=("temperature",)), 1),
    (Script(refused=("temperature", "logprobs")), 2),
    (Script(refuses=at_most_five, logprobs=ALTERNATIVES), 1),
    (Script(refuses=another_limit), 1),
    (Script(), 0),
]


@pytest.mark.parametrize(("script", "refusals_count"), REFUSING)
async def test_each_refused_parameter_is_heard_once_whatever_runs_at_once(script: Script, refusals_count: int) -> None:
    with serving(script) as url:
        llm, ledger = counted(url)
        replies = await asked_at_once(llm, 8)
    assert [one.text for one in replies] == ["positive"] * 8
    assert sum(entry.error == "ParameterRefused" for entry in ledger.entries) == refusals_count
    assert len(script.requests) == 8 + refusals_count


async def test_a_schema_that_is_refused_is_heard_once_also_after_questions_without_one() -> None:
    script, schema = Script(refused=("output_config",)), {"type": "object", "properties": {}}
    with serving(script) as url:
        ledger = Ledger()
        llm = metered(AnthropicLLM("known", base_url=url.removesuffix("/v1"), api_key="none"), ledger, retry=Retrying())
        asked = [replace(ASK, sample=n, schema=None if n < 2 else schema) for n in range(10)]
        replies = await asyncio.gather(*map(llm.complete, asked))
        await llm.close()
    assert [one.text for one in replies] == ["positive"] * 10
    assert len(script.requests) == len(ledger.entries) == 11


async def test_a_first_request_that_finds_no_server_does_not_hold_up_the_others() -> None:
    script = Script(failures=[(503, {}, {})])
    with serving(script) as url:
        said = await asked_at_once(counted(url)[0], 8)
    assert [type(one) for one in said] == [LLMUnavailable] + [Reply] * 7


def test_what_one_loop_did_not_settle_another_one_may_ask() -> None:
    script = Script(failures=[(400, {}, {"error": {"message": "no"}})] * 3)
    with serving(script) as url, openai.OpenAI(base_url=url, api_key="none") as client:
        llm = OpenAILLM("known", client=client)

        async def at_once(count: int) -> list[Any]:
            return await asyncio.gather(*(llm.complete(ASK) for _ in range(count)), return_exceptions=True)

        assert [type(one) for one in asyncio.run(at_once(3))] == [CallerError] * 3
        assert [type(one) for one in asyncio.run(at_once(3))] == [Reply] * 3


async def test_eight_that_hear_at_once_of_fewer_alternatives_still_ask_for_some() -> None:
    with serving(Script(refuses=at_most_five, logprobs=ALTERNATIVES)) as url:
        replies = await asked_at_once(counted(url)[0], 8)
    assert all(one.label_logprobs for one in replies)


@pytest.mark.parametrize("cap", [1, 5, 9])
async def test_a_cap_on_calls_holds_for_requests_on_the_wire(cap: int) -> None:
    script = Script(refused=("temperature", "logprobs"))
    with serving(script) as url:
        said = await asked_at_once(counted(url, cap)[0], 8)
    assert len(script.requests) == cap
    assert {type(one) for one in said} <= {Reply, BudgetExhausted}


async def test_one_attempt_is_one_request_and_says_what_to_do() -> None:
    script = Script(refused=("temperature",))
    with serving(script) as url:
        llm = OpenAILLM("known", base_url=url)
        with pytest.raises(ParameterRefused, match="temperature"):
            await llm.complete(ASK)
        assert len(script.requests) == 1
        assert (await llm.complete(ASK)).sampling == "not_accepted"
        await llm.close()


async def test_a_server_that_never_stops_refusing_is_given_up() -> None:
    llm = ScriptedLLM(lambda request: ParameterRefused("temperature"))
    with pytest.raises(LLMUnavailable):
        await metered(llm, Ledger(), retry=Retrying()).complete(ASK)
    assert len(llm.requests) == REFUSED_MAX
