"""A prompt that an earlier run put to use is where the next run starts: as it is used, not as it merely reads."""

from __future__ import annotations

from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent, Prompt
from meta_learning.acla.prompt import Exemplar
from meta_learning.acla.splits import item_id
from meta_learning.acla.strategies.chain_of_thought import ALOUD, SILENT
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import LABELS, SEED_PROMPT, chance, config, expected_of, model, nothing_helps, samples

SHOWN = (Exemplar("A short one.", "good", item_id("a short one")), Exemplar("Two\nlines", "bad", item_id("two lines")))
EDITS: list[dict[str, Any]] = [
    {},
    {"rules": ("Mind irony.",)},
    {"reasoning": ALOUD[0]},
    {"exemplars": SHOWN},
    {"rules": ("Mind irony.", "Be fair."), "reasoning": ALOUD[1]},
    {"rules": ("Mind irony.",), "reasoning": SILENT[0], "exemplars": SHOWN},
    {"reasoning": ALOUD[1], "exemplars": SHOWN},
]
SEEDS = [
    "You are a critic. Judge the review. Answer with one word.",
    "Judge the review.\n\nReview: {input}\nVerdict:",
    "Judge the review. Answer with one word.\n\nReview: {input}",
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("edit", EDITS)
def test_a_rendered_prompt_is_read_back_block_for_block(seed: str, edit: dict[str, Any]) -> None:
    prompt = Prompt.parse(seed).edit(**edit)
    assert Prompt.parse(prompt.render()).edit() == prompt


def test_a_person_who_asks_for_reasoning_and_a_marked_answer_gets_room_for_it() -> None:
    assert Prompt.parse("Think step by step. End with a line 'Answer: high' or 'Answer: low'.").thinks_aloud
    assert not Prompt.parse("Is the number high or low?\n\nNumber: {input}\nAnswer:").thinks_aloud


async def test_a_champion_that_thinks_aloud_is_not_beaten_by_cutting_it_short() -> None:
    def answer(request: Request) -> str:
        if request.purpose == "proposer":
            return ""
        prompt, text = request.messages[0].text, request.messages[-1].text
        right = expected_of(text)
        said = right if chance(prompt, text) < 0.8 else LABELS[1 - LABELS.index(right)]
        words = [*(["hm"] * 40 if "step by step" in prompt else []), "Answer:", said]
        return " ".join(words[: request.max_tokens])

    champion = Prompt.parse(SEED_PROMPT).edit(reasoning=ALOUD[0]).render()
    agent = AdaptiveCurriculumAgent(config(initial_prompt=champion, max_iterations=1), ScriptedLLM(answer))
    results = await agent.run_curriculum(samples, num_samples=60)
    assert results["performance_history"][0]["score"] > 0.6
    assert results["outcome"] != "improved"


def leaning() -> ScriptedLLM:
    """It orders the items perfectly, and says "high" nearly always unless its leaning is taken away."""

    def answer(request: Request) -> str | Reply:
        if request.purpose == "proposer":
            return ""
        right = expected_of(request.messages[-1].text)
        logprobs = {"high": -0.1, "low": -1.0} if right == "low" else {"high": -0.05, "low": -3.0}
        return Reply("high", model="scripted", label_logprobs=logprobs)

    return ScriptedLLM(answer, capabilities=Capabilities(temperature=True, label_logprobs=True))


async def test_a_champion_with_weights_on_its_labels_is_measured_with_them() -> None:
    plain = await AdaptiveCurriculumAgent(config(max_iterations=1), leaning()).run_curriculum(samples, num_samples=60)
    assert plain["outcome"] == "improved"
    assert plain["best_package"]["label_bias"].keys() == set(LABELS)
    weighed = AdaptiveCurriculumAgent(config(max_iterations=1, initial_calibrated=True), leaning())
    results = await weighed.run_curriculum(samples, num_samples=60)
    assert results["outcome"] == "no_headroom"
    assert results["seed_performance"] == 1.0


async def test_both_numbers_of_a_run_without_evidence_come_from_the_same_items() -> None:
    for world in range(4):
        agent = AdaptiveCurriculumAgent(config(seed=world, max_iterations=3), model(nothing_helps))
        results = await agent.run_curriculum(lambda n, world=world: samples(n, world), num_samples=60)  # type: ignore[misc]
        if results["outcome"] == "no_evidence":
            assert results["best_performance"] == results["seed_performance"]
            if judged := results["judged"]:
                assert judged["gain"] == pytest.approx(judged["score"] - judged["seed_score"])
                assert f"finalist has {judged['score']:.2f} where the seed prompt has" in results["reason"]
