"""Answers held to a JSON schema: how each vendor is asked, what happens where a server refuses, and what a run makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.acla.strategies.error_analysis import AS_LINES, Diagnosis
from meta_learning.llm import LLM, Request
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.ledger import Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.retry import Retrying
from tests.contract.asking import ASK
from tests.contract.llm_servers import Script, serving
from tests.core.acla.simulated import config, samples

VENDORS = ["openai", "anthropic"]
SENT_AS = {"openai": "response_format", "anthropic": "output_config"}
SCHEMA = Diagnosis.model_json_schema()
DIAGNOSED = '{"failure": "irony is taken at its word", "rule": "Mind irony."}'


def adapter(kind: str, url: str) -> LLM:
    """An adapter as for the vendor's own address; of a server elsewhere no schema is assumed."""
    if kind == "anthropic":
        return AnthropicLLM("known", base_url=url.removesuffix("/v1"), api_key="k")
    llm = OpenAILLM("known", base_url=url)
    assert not llm.capabilities.structured
    llm.capabilities = replace(llm.capabilities, structured=True)
    return llm


@dataclass
class Author(Script):
    """Says "high" to every task, and as an author ``diagnosed`` where it is held to a schema, else two lines between fences."""

    diagnosed: str = DIAGNOSED
    bodies: list[str] = field(default_factory=list)

    def respond(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        asked = json.dumps(body, ensure_ascii=False)
        self.bodies.append(asked)
        held = bool(set(SENT_AS.values()) & set(body))
        writes = "one general rule" in asked
        lines = "```\nFailure: irony is taken at its word\nMind irony.\n```"
        self.text = self.diagnosed if held else lines if writes else "high"
        return super().respond(path, body)

    def count(self, sign: str) -> int:
        return sum(sign in body for body in self.bodies)


@contextmanager
def asked(kind: str, script: Script) -> Iterator[LLM]:
    with ExitStack() as stack:
        yield adapter(kind, stack.enter_context(serving(script)))


async def test_openai_is_asked_by_a_strict_response_format() -> None:
    script = Script(text=DIAGNOSED)
    with asked("openai", script) as llm:
        reply = await llm.complete(replace(ASK, schema=SCHEMA))
        await llm.close()
    [body] = script.requests
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True},
    }
    assert reply.structured
    assert Diagnosis.model_validate_json(reply.text).rule == "Mind irony."


async def test_anthropic_is_asked_by_an_output_format() -> None:
    script = Script(text=DIAGNOSED)
    with asked("anthropic", script) as llm:
        assert llm.capabilities.structured
        reply = await llm.complete(replace(ASK, schema=SCHEMA))
        await llm.close()
    [body] = script.requests
    sent = body["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["required"] == ["failure", "rule"]
    assert sent["schema"]["additionalProperties"] is False
    assert reply.structured


@pytest.mark.parametrize("kind", VENDORS)
async def test_without_a_schema_nothing_of_it_is_sent(kind: str) -> None:
    script = Script()
    with asked(kind, script) as llm:
        assert not (await llm.complete(ASK)).structured
        await llm.close()
    assert not set(SENT_AS.values()) & set(script.requests[0])


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_schema_that_the_server_refuses_is_left_out_from_then_on_and_each_request_is_counted(kind: str) -> None:
    script, ledger, held = Script(refused=(SENT_AS[kind],)), Ledger(), replace(ASK, schema=SCHEMA)
    with asked(kind, script) as llm:
        guarded = metered(llm, ledger, retry=Retrying())
        replies = [await guarded.complete(held), await guarded.complete(held)]
        await guarded.close()
    assert [(one.text, one.structured) for one in replies] == [("positive", False)] * 2
    assert [SENT_AS[kind] in body for body in script.requests] == [True, False, False]
    assert [entry.error for entry in ledger.entries] == ["ParameterRefused", None, None]


async def run(kind: str, script: Author) -> dict[str, Any]:
    settings: dict[str, Any] = {"evolution_strategies": ["error_analysis"], "max_iterations": 4, "gate_samples": 10}
    with asked(kind, script) as llm:
        try:
            return await AdaptiveCurriculumAgent(config(**settings), llm).run_curriculum(samples, num_samples=20)
        finally:
            await llm.close()


def ideas(results: dict[str, Any]) -> list[str]:
    return [one["note"] for one in results["lineage"]]


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_run_takes_hypothesis_and_rule_out_of_json(kind: str) -> None:
    script = Author()
    results = await run(kind, script)
    assert script.count(SENT_AS[kind]) >= 1
    assert script.count(json.dumps(AS_LINES)[1:-1]) == 0
    assert "against: irony is taken at its word" in ideas(results)
    assert script.count("Mind irony.") > 0, "the rule is asked of the task"


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_run_on_a_server_that_refuses_schemas_goes_on_with_fenced_text(kind: str) -> None:
    script = Author(refused=(SENT_AS[kind],))
    results = await run(kind, script)
    assert script.count(SENT_AS[kind]) == 1
    assert script.count(json.dumps(AS_LINES)[1:-1]) >= 1
    assert "against: irony is taken at its word" in ideas(results)
    assert results["spent"]["calls"] == len(script.requests)


@pytest.mark.parametrize("diagnosed", ['{"failure": "cut off', '{"failure": "x", "rule": ""}', "Mind irony.", "[]"])
async def test_what_is_no_whole_diagnosis_is_an_unusable_proposal(diagnosed: str) -> None:
    script = Author(diagnosed=diagnosed)
    results = await run("openai", script)
    assert script.count("response_format") >= 1
    assert ideas(results), "the confusion counts still give rules"
    assert not [note for note in ideas(results) if note.startswith("against:")]
    assert script.count("Mind irony.") == script.count("cut off") == 0


def test_a_request_without_a_schema_is_known_by_the_digest_that_it_always_had() -> None:
    known = "0778348e4f7e2fadc8feb9786a53337913fcf8665cb054923a162de6b4217781"
    assert ASK.digest("openai", "m") == known
    held = [Request(ASK.messages, schema=one) for one in (SCHEMA, {"type": "object"})]
    assert len({known, *(one.digest("openai", "m") for one in held)}) == 3
    assert {ASK, *held}, "requests with a schema can stand in a set"
