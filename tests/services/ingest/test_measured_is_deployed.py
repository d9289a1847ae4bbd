"""What a run measured is what an application sends that follows the documented way: message for message."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.client import FeedbackClient
from meta_learning.events import PromptPromoted
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.scripted import ScriptedLLM
from meta_learning.registry.prompts import PromptContent
from meta_learning.streams import Limits
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.memory_broker import MemoryBroker
from services.evolver.prompts import keep
from services.evolver.runs import ending_of
from tests.core.acla.simulated import SEED_PROMPT, config, model, samples, with_examples
from tests.services.ingest.serving import door


def served_prompt(results: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The way of a prompt that was found: kept, promoted, asked for by the client and by somebody else."""
    ending, fake = ending_of(results, True, None), MemoryBroker()
    with door(MemoryLog(2, Limits(), fake)) as served:
        content = PromptContent(text=ending.prompt or "", blocks=ending.blocks, voters=ending.voters)
        version, digest = keep(served.store, "support", content, None, {})
        promoted = PromptPromoted(event_id="e", occurred_at=datetime.now(UTC), loop="support", version=version)
        asyncio.run(MemoryLog(2, Limits(), fake).publish("support", [promoted], {"prompt:support": digest}))
        with FeedbackClient(served.url) as client:
            return client.prompt("support"), served.http.get("/v1/loops/support/prompt").json()


@pytest.mark.parametrize("seed_prompt", [SEED_PROMPT, "Say whether it is high or low.\n\n{input}\nAnswer:"])
def test_an_application_sends_the_messages_that_were_measured(seed_prompt: str) -> None:
    llm = model(with_examples)
    settings = config(initial_prompt=seed_prompt, evolution_strategies=["few_shot_optimization"])
    results = asyncio.run(AdaptiveCurriculumAgent(settings, llm).run_curriculum(samples, num_samples=60))
    assert results["outcome"] == "improved"
    prompt, said = served_prompt(results)
    measured = {tuple((one.role, one.text) for one in request.messages) for request in llm.requests}
    again = 0
    for item in samples(200):
        sent = prompt.messages(item["input"])
        *before, last = said["chat"]["messages"]
        place = said["chat"]["input"]
        assert sent == [*before, {**last, "content": last["content"].replace(place, item["input"])}]
        assert any(one["role"] == "assistant" for one in sent)
        again += tuple((one["role"], one["content"]) for one in sent) in measured
    assert again >= results["items"]["gate"]


def test_instructions_that_a_server_hears_in_no_turn_of_their_own_are_sent_as_they_were_measured() -> None:
    def deaf(request: Request) -> Reply:
        heard = sum(len(one.text.split()) for one in request.messages if one.role != "system")
        return Reply("high", "deaf", prompt_tokens=heard, completion_tokens=1)

    llm = ScriptedLLM(deaf, capabilities=Capabilities(temperature=True, extras={"label_logprobs": "ask"}))
    settings = config(max_iterations=0, gate_samples=20)
    results = asyncio.run(AdaptiveCurriculumAgent(settings, llm).run_curriculum(samples, num_samples=20))
    assert results["endpoint"]["system_role"] is False
    prompt, said = served_prompt(results | {"outcome": "improved"})
    assert said["chat"] == results["best_package"]["chat"]
    measured = [tuple((one.role, one.text) for one in request.messages) for request in llm.requests]
    sent = [tuple((one["role"], one["content"]) for one in prompt.messages(item["input"])) for item in samples(200)]
    assert {role for turns in sent for role, _ in turns} == {"user"}
    assert sum(turns in measured for turns in sent) == results["items"]["search"]
