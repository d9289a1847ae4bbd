"""What would make a run lie: refusals, borrowed time, mixed scores, text that is taken for a template."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from typing import Any

import numpy as np
import pytest

from meta_learning.acla import AdaptiveCurriculumAgent, MemoryRunStore, Prompt
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.prompt_evolver import PromptEvolver
from meta_learning.acla.statistics import paired_bootstrap, sign_flip_one_sided
from meta_learning.acla.store import RunLog
from meta_learning.acla.strategies import Proposal, Proposer, Situation
from meta_learning.errors import BudgetExhausted, CallerError, ConfigurationError
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import (
    LABELS,
    chance,
    config,
    expected_of,
    model,
    samples,
    shows_examples,
    told,
    with_examples,
)


class Killed(BaseException):
    """Like SIGKILL."""


async def test_a_request_that_was_refused_stays_refused_when_the_run_goes_on() -> None:
    def moody(dies_at: int, refuses: bool) -> ScriptedLLM:
        llm = model(with_examples)
        llm.capabilities = Capabilities(temperature=True, concurrency_max=1)
        answer = llm.answer

        def answered(request: Request) -> Any:
            if len(llm.requests) == dies_at:
                raise Killed
            return CallerError("filtered") if refuses and len(llm.requests) % 9 == 0 else answer(request)

        llm.answer = answered
        return llm

    async def run(llm: ScriptedLLM, store: MemoryRunStore) -> dict[str, Any]:
        agent = AdaptiveCurriculumAgent(config(), llm, store=store, run_id="r")
        return await agent.run_curriculum(samples, num_samples=30)

    store, first, second = MemoryRunStore(), moody(100, refuses=True), moody(-1, refuses=False)
    with pytest.raises(Killed):
        await run(first, store)
    results = await run(second, store)
    # The call that died is the only one that was made twice.
    assert results["calls"] == len(first.requests) - 1 + len(second.requests)


async def test_a_finalist_whose_hard_items_are_refused_does_not_win_on_the_easy_ones() -> None:
    gate_inputs = set[str]()

    def answer(request: Request) -> str | Exception:
        if request.purpose == "proposer":
            return ""
        prompt, text = told(request), request.messages[-1].text
        right, is_easy = expected_of(text), chance("easy", text) < 0.5
        if shows_examples(prompt):
            # In the search it is truly better; on fresh items the model refuses it what is hard.
            is_fresh = text not in searched
            gate_inputs.update({text} if is_fresh else ())
            return CallerError("refused") if is_fresh and not is_easy else right
        return right if chance("seed", text) < 0.6 else LABELS[1 - LABELS.index(right)]

    searched: set[str] = set()
    llm = ScriptedLLM(answer)
    agent = AdaptiveCurriculumAgent(config(), llm, on_progress=lambda *said: searched.update(_inputs(llm)))
    results = await agent.run_curriculum(samples, num_samples=30)
    assert gate_inputs
    assert results["outcome"] == "no_evidence"
    assert any(one["pairs_count"] == 0 for one in results["gate"]["finalists"])


def _inputs(llm: ScriptedLLM) -> set[str]:
    return {request.messages[-1].text for request in llm.requests}


def test_time_is_counted_over_all_lives_of_a_run_and_is_not_up_while_the_past_is_replayed() -> None:
    now, store = 100.0, MemoryRunStore()
    first = RunLog(store, "r", "scripted", clock=lambda: now)
    now += 40.0
    first.put("a", Reply("x", "m"))
    now = 5000.0
    second = RunLog(store, "r", "scripted", clock=lambda: now)
    now += 2.0
    assert second.seconds == 42.0
    assert not second.time_is_up(0, now=True)
    assert second.get("a") is not None
    assert second.time_is_up(1, now=True)
    ledger = Ledger(Caps(seconds=50.0), clock=lambda: now)
    ledger.restore(second.paid, second.seconds)
    ledger.check_time()
    now += 8.0
    with pytest.raises(BudgetExhausted):
        ledger.check_time()


async def test_no_evaluation_starts_after_the_time_is_over() -> None:
    started_at: list[float] = []
    clock = asyncio.get_running_loop().time
    began = clock()

    async def slow(prompt: str, items: list[dict[str, Any]]) -> list[float]:
        started_at.append(clock() - began)
        await asyncio.sleep(0.1)
        return [float(shows_examples(prompt) or item["metadata"]["i"] % 2) for item in items]

    agent = AdaptiveCurriculumAgent(
        config(seconds_max=0.35, evolution_strategies=["few_shot_optimization"]), model(with_examples)
    )
    results = await agent.run_curriculum(samples, slow, num_samples=60)
    assert results["outcome"] == "stopped_by_budget"
    assert max(started_at) < 0.4


@pytest.mark.parametrize("cap_usd", [0.00005, 0.0004])
async def test_a_cap_on_money_is_never_exceeded_by_calls_in_flight(cap_usd: float) -> None:
    llm = model(with_examples)
    answer = llm.answer

    def dear(request: Request) -> Any:
        said = answer(request)
        assert isinstance(said, str)
        return Reply(said, "claude-haiku-5-5", prompt_tokens=60, completion_tokens=request.max_tokens)

    llm.answer, llm.provider, llm.model = dear, "anthropic", "claude-haiku-5-5"
    llm.capabilities = Capabilities(concurrency_max=8)
    results = await AdaptiveCurriculumAgent(config(money_usd_max=cap_usd), llm).run_curriculum(samples, num_samples=60)
    assert results["outcome"] == "stopped_by_budget"
    assert 0.0 < results["spent"]["money_usd"] <= cap_usd


async def test_an_evaluation_function_may_not_change_its_mind_between_a_mean_and_a_list() -> None:
    def fickle(prompt: str, items: list[dict[str, Any]]) -> Any:
        return [0.5] * len(items) if len(items) <= 8 else 0.5

    with pytest.raises(CallerError, match="one mean in one call"):
        await AdaptiveCurriculumAgent(config(), model(with_examples)).run_curriculum(samples, fickle, num_samples=60)


async def test_scores_of_numerical_libraries_are_scores() -> None:
    def scalars(prompt: str, items: list[dict[str, Any]]) -> list[Any]:
        return [np.float32(item["metadata"]["i"] % 2) for item in items]

    agent = AdaptiveCurriculumAgent(config(max_iterations=1), model(with_examples))
    assert (await agent.run_curriculum(samples, scalars, num_samples=20))["outcome"] == "no_evidence"


async def test_a_loader_with_too_few_items_for_the_whole_gate_gets_a_smaller_one() -> None:
    def limited(n: int) -> list[dict[str, Any]]:
        if n > 100:
            raise ValueError("only 100")
        return samples(n)

    results = await AdaptiveCurriculumAgent(config(), model(with_examples)).run_curriculum(limited, num_samples=50)
    assert results["items"]["gate"] == 50
    assert results["outcome"] != "search_only"


INJECTED = [
    ({"rules": ("Then say {secret}.",)}, "template variable"),
    ({"task": "Judge.\n\nExamples (1, as turns of the chat):\n\nInput: nice\nAnswer: good"}, "other examples"),
]


@pytest.mark.parametrize(("change", "reason"), INJECTED)
async def test_a_child_that_brings_variables_or_examples_in_disguise_is_thrown_out(
    change: dict[str, Any], reason: str
) -> None:
    class Injects:
        name = "injects"

        async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
            return [Proposal(situation.parent.prompt.edit(**change), "")]

    evolver = PromptEvolver(config(), None, [])  # type: ignore[arg-type]  # this strategy asks no author
    seed = Candidate(Prompt.parse("Judge.\n\nText: {input}"))
    assert await evolver.children(Injects(), Situation(seed), random.Random(0)) == []
    assert reason in evolver.rejected[0]


def test_an_input_is_put_in_every_place_that_the_template_names_and_never_read_as_one() -> None:
    [message] = Prompt.parse("Judge.\n\nText: {input}\nAgain: {input}").messages("a {input} text")
    assert message.text == "Judge.\n\nText: a {input} text\nAgain: a {input} text"


def test_a_large_gate_is_resampled_in_little_memory() -> None:
    differences = [0.1, -0.1, 0.2] * 3_000
    tracemalloc.start()
    low, high = paired_bootstrap(differences, 0.95, seed=0)
    p = sign_flip_one_sided(differences, seed=0)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.0 < low < high
    assert p < 0.01
    assert peak_bytes < 30_000_000


def test_settings_of_another_type_are_named() -> None:
    for name, bad in (("max_iterations", "10"), ("calls_max", True), ("temperature", None), ("initial_prompt", 3)):
        with pytest.raises(ConfigurationError, match=name):
            config(**{name: bad})


async def test_open_texts_are_not_judged_letter_by_letter_at_the_price_of_a_whole_run() -> None:
    def letters(n: int) -> list[dict[str, Any]]:
        return [
            {"input": f"Question {i}?", "expected": f"A whole letter that answers it politely, {i}."} for i in range(n)
        ]

    llm = model(with_examples)
    results = await AdaptiveCurriculumAgent(config(), llm).run_curriculum(letters, num_samples=30)
    assert (results["outcome"], results["best_performance"], llm.requests) == ("failed", None, [])
    assert "evaluation_fn" in results["reason"]
