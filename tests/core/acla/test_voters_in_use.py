"""Prompts that vote, in use: the next run measures them as they vote, and lets nothing take over that is not better than that."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.errors import CallerError, ConfigurationError
from meta_learning.llm import Request
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import LABELS, SEED_PROMPT, chance, config, expected_of, samples, shows_examples, told

VOTERS = ["Is the number high or low? Answer with one word.", "High, or low? Answer with one word."]
IN_USE = {"initial_voters": [{"prompt": text, "calibrated": False} for text in VOTERS]}


def thirds(request: Request) -> str:
    """Each of the three prompts is wrong on a third of its own; whatever else is asked is right on 60 %."""
    if request.purpose == "proposer":
        return f"```\nIdea {request.sample}.\n```"
    prompt, text = told(request), request.messages[-1].text
    right, wrong = expected_of(text), LABELS[1 - LABELS.index(expected_of(text))]
    third = int(3 * chance("third", text))
    known = [SEED_PROMPT, *VOTERS]
    if prompt in known:
        return wrong if known.index(prompt) == third else right
    return right if chance(prompt, text) < 0.6 else wrong


async def run(llm: ScriptedLLM, **changes: Any) -> dict[str, Any]:
    settings = {"max_iterations": 2, "gate_samples": 60} | changes
    return await AdaptiveCurriculumAgent(config(**settings), llm).run_curriculum(samples, num_samples=60)


async def test_what_votes_is_measured_as_it_votes() -> None:
    alone, together = ScriptedLLM(thirds), ScriptedLLM(thirds)
    assert 0.5 < (await run(alone))["seed_performance"] < 0.8
    results = await run(together, **IN_USE)
    assert results["outcome"] == "no_headroom"
    assert results["seed_performance"] == 1.0
    assert [one["prompt"] for one in results["ensemble"]] == [SEED_PROMPT, *VOTERS]
    assert results["price"]["calls"] == 3
    asked = Counter(request.messages[0].text for request in together.requests)
    assert asked[VOTERS[0]] == asked[VOTERS[1]] == 60


async def test_nothing_takes_over_that_does_not_beat_the_vote_on_fresh_items() -> None:
    def harder(request: Request) -> str:
        said = thirds(request)
        if request.purpose == "proposer":
            return said
        # A tenth is beyond everybody; an example helps, but not as much as the vote does.
        text = request.messages[-1].text
        if chance("hard", text) < 0.1:
            return LABELS[1 - LABELS.index(expected_of(text))]
        return expected_of(text) if shows_examples(told(request)) and chance("ex", text) < 0.6 else said

    llm = ScriptedLLM(harder)
    alone = await run(ScriptedLLM(harder), max_iterations=6)
    results = await run(llm, max_iterations=6, **IN_USE)
    assert alone["outcome"] == "improved"
    assert results["outcome"] == "no_evidence"
    assert results["best_version"].count("+") == 2
    # What it was judged against is the vote.
    assert results["judged"]["seed_score"] > alone["judged"]["seed_score"] + 0.1


async def test_voters_are_in_the_cap_and_in_what_is_kept_for_the_gate() -> None:
    llm = ScriptedLLM(thirds)
    results = await run(llm, calls_max=240, **IN_USE)
    assert results["plan"]["calls_kept"] == results["plan"]["gate_items"] * (3 + results["plan"]["finalists"]) <= 80
    assert len(llm.requests) <= 240


async def test_voters_need_answers_and_a_text() -> None:
    agent = AdaptiveCurriculumAgent(config(**IN_USE), ScriptedLLM(thirds))
    with pytest.raises(CallerError, match="answers to vote with"):
        await agent.run_curriculum(samples, lambda prompt, items: [1.0] * len(items), num_samples=20)
    with pytest.raises(ConfigurationError, match="initial_voters"):
        config(initial_voters=[{"prompt": ""}])
