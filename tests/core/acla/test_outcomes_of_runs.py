"""What a run may end in, against models of which the truth is known."""

from __future__ import annotations

from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable, MalformedDataset
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.retry import Retrying, RetryPolicy
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import (
    SEED_PROMPT,
    config,
    expected_of,
    model,
    nothing_helps,
    samples,
    shows_examples,
    with_examples,
)


def loader(world: int = 0) -> Any:
    return lambda n: samples(n, world)


async def run(llm: ScriptedLLM, world: int = 0, count: int = 60, **changes: Any) -> dict[str, Any]:
    return await AdaptiveCurriculumAgent(config(**changes), llm).run_curriculum(loader(world), num_samples=count)


async def test_a_better_prompt_that_exists_is_found_and_proven_on_fresh_items() -> None:
    results = [await run(model(with_examples), world, seed=world) for world in range(6)]
    improved = [one for one in results if one["outcome"] == "improved"]
    assert len(improved) >= 5
    for one in improved:
        assert shows_examples(one["best_prompt"])
        assert one["gate"]["winner"]["low"] > 0.0
        assert one["best_performance"] > one["seed_performance"]
        assert one["best_prompt"].endswith("Answer with one word.")


async def test_where_nothing_helps_the_seed_prompt_stays_in_almost_all_runs() -> None:
    results = [await run(model(nothing_helps), world, seed=world, max_iterations=5) for world in range(12)]
    fooled = [one for one in results if one["outcome"] == "improved"]
    # With alpha = 0.1 one or two of twelve are expected; four or more would happen by chance in fewer than 3 % of suites.
    assert len(fooled) <= 3
    assert all(one["best_prompt"] == SEED_PROMPT for one in results if one["outcome"] == "no_evidence")


async def test_a_prompt_that_is_nearly_perfect_leaves_no_headroom_and_costs_only_its_measurement() -> None:
    results = await run(model(lambda prompt: 1.0))
    assert (results["outcome"], results["calls"]) == ("no_headroom", 60)
    assert results["best_prompt"] == SEED_PROMPT


async def test_the_result_and_the_history_have_the_promised_keys() -> None:
    results = await run(model(with_examples))
    assert {
        "best_performance",
        "best_prompt",
        "performance_history",
        "outcome",
        "gate",
        "calls",
        "reason",
    } <= results.keys()
    for point in results["performance_history"]:
        assert point.keys() == {"iteration", "score", "low", "high", "calls", "prompt_version"}
        assert 0.0 <= point["low"] <= point["score"] <= point["high"] <= 1.0


@pytest.mark.parametrize("cap", [1, 7, 40, 61, 100, 250, 600])
async def test_a_cap_on_calls_is_never_exceeded_by_one(cap: int) -> None:
    llm = model(with_examples)
    results = await run(llm, calls_max=cap)
    assert len(llm.requests) <= cap
    assert results["calls"] == len(llm.requests)
    assert results["outcome"] in {"stopped_by_budget", "no_evidence", "improved"}
    if cap < 60:
        assert results["outcome"] == "stopped_by_budget"
        assert results["best_prompt"] == SEED_PROMPT


async def test_retries_count_against_the_cap() -> None:
    llm = model(with_examples)
    answer, turn = llm.answer, iter(range(10**6))
    llm.answer = lambda request: LLMUnavailable("busy") if next(turn) % 2 else answer(request)

    async def no_wait(seconds: float) -> None:
        return None

    agent = AdaptiveCurriculumAgent(config(calls_max=50), llm, retry=Retrying(sleep=no_wait))
    results = await agent.run_curriculum(loader(), num_samples=60)
    assert results["outcome"] == "stopped_by_budget"
    assert len(llm.requests) <= 50


async def test_a_call_that_must_be_made_again_at_the_very_end_does_not_cost_the_decision() -> None:
    llm = model(with_examples)
    answer = llm.answer
    llm.answer = lambda request: LLMUnavailable("busy") if len(llm.requests) == 290 else answer(request)

    async def no_wait(seconds: float) -> None:
        return None

    agent = AdaptiveCurriculumAgent(config(calls_max=301, gate_samples=200), llm, retry=Retrying(sleep=no_wait))
    results = await agent.run_curriculum(loader(), num_samples=60)
    assert results["outcome"] == "improved"
    assert "the gate was cut short: the cap of 301 calls is reached" in results["reason"]
    assert len(llm.requests) == 301


async def test_without_fresh_items_the_outcome_is_search_only() -> None:
    agent = AdaptiveCurriculumAgent(config(), model(with_examples))
    results = await agent.run_curriculum(lambda n: samples(60), num_samples=60)
    assert (results["outcome"], results["gate"]) == ("search_only", None)
    assert results["items"] == {"search": 60, "gate": 0, "duplicates": 0}


async def test_a_loader_that_refuses_to_give_more_is_asked_for_the_search_items_alone() -> None:
    def limited(n: int) -> list[dict[str, Any]]:
        if n > 60:
            raise ValueError("only 60")
        return samples(n)

    results = await AdaptiveCurriculumAgent(config(), model(with_examples)).run_curriculum(limited, num_samples=60)
    assert results["outcome"] == "search_only"


async def test_a_mean_is_accepted_from_an_evaluation_function_and_said_to_be_weaker() -> None:
    async def mean_score(prompt: str, items: list[dict[str, Any]]) -> float:
        return with_examples(prompt)

    results = await AdaptiveCurriculumAgent(config(), model(with_examples)).run_curriculum(loader(), mean_score, 60)
    assert results["outcome"] == "search_only"
    assert "flatters" in results["reason"]


async def test_one_score_a_sample_from_an_evaluation_function_goes_through_the_gate() -> None:
    llm = model(with_examples)

    async def each(prompt: str, items: list[dict[str, Any]]) -> list[bool]:
        return [hash_right(prompt, item["input"]) for item in items]

    def hash_right(prompt: str, text: str) -> bool:
        return len(text) % 7 != 3 if shows_examples(prompt) else int(text.split("-")[1].split()[0]) % 2 == 0

    results = await AdaptiveCurriculumAgent(config(), llm).run_curriculum(loader(), each, 60)
    assert results["outcome"] == "improved"
    assert results["scoring"] == "evaluation_fn"
    assert all(request.purpose == "proposer" for request in llm.requests)


@pytest.mark.parametrize("bad", [float("nan"), 1.5, "good", None, [0.5], {"score": 1}])
async def test_a_malformed_evaluation_is_the_callers_mistake(bad: Any) -> None:
    agent = AdaptiveCurriculumAgent(config(), model(with_examples))
    with pytest.raises(CallerError, match="evaluation_fn returned"):
        await agent.run_curriculum(loader(), lambda prompt, items: bad, 60)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ([], "no samples"),
        ("text", "not a list"),
        ([{"input": "x"}], "row 1"),
        ([*samples(3), {"input": " ", "expected": "a"}], "row 4"),
        ([{"input": "x", "expected": None}], "expected"),
    ],
)
async def test_a_bad_loader_is_named_with_its_row(bad: Any, named: str) -> None:
    llm = model(with_examples)
    with pytest.raises(MalformedDataset, match=named):
        await AdaptiveCurriculumAgent(config(), llm).run_curriculum(lambda n: bad, num_samples=60)
    assert llm.requests == []


async def test_gate_items_are_never_those_of_the_search_even_when_the_loader_repeats_itself() -> None:
    llm = model(with_examples)
    results = await AdaptiveCurriculumAgent(config(), llm).run_curriculum(lambda n: samples(n // 2) * 2, num_samples=60)
    assert results["items"]["duplicates"] == 80
    assert results["items"]["search"] + results["items"]["gate"] <= 80


async def test_an_outage_is_raised_after_retries_and_never_scored() -> None:
    llm = model(with_examples)
    answer = llm.answer
    llm.answer = lambda request: LLMUnavailable("down") if len(llm.requests) > 30 else answer(request)
    agent = AdaptiveCurriculumAgent(config(), llm, retry=Retrying(RetryPolicy(attempts_max=1)))
    with pytest.raises(LLMUnavailable):
        await agent.run_curriculum(loader(), num_samples=60)


async def test_items_that_the_model_refuses_are_missing_and_too_many_of_them_fail_the_run() -> None:
    def refusing(share: float) -> ScriptedLLM:
        llm = model(lambda prompt: 0.7)
        answer = llm.answer
        llm.answer = lambda request: (
            (
                CallerError("refused")
                if int(request.messages[-1].text.split("-")[-1].split()[0]) % 10 < share * 10
                else answer(request)
            )
            if request.purpose == "task"
            else answer(request)
        )
        return llm

    few, many = await run(refusing(0.1), max_iterations=1), await run(refusing(0.5), max_iterations=1)
    assert few["outcome"] != "failed"
    assert 0.5 < few["seed_performance"] < 0.9
    assert many["outcome"] == "failed"
    assert "refused" in many["reason"]


async def test_a_run_that_is_asked_to_stop_is_cancelled_between_two_calls() -> None:
    llm = model(with_examples)
    agent = AdaptiveCurriculumAgent(config(), llm, should_stop=lambda: len(llm.requests) >= 70)
    results = await agent.run_curriculum(loader(), num_samples=60)
    assert (results["outcome"], len(llm.requests)) == ("cancelled", 70)
    assert results["best_prompt"] == SEED_PROMPT


async def test_progress_is_told_after_every_iteration() -> None:
    told: list[tuple[int, float, int, str]] = []
    agent = AdaptiveCurriculumAgent(config(), model(with_examples), on_progress=lambda *facts: told.append(facts))
    await agent.run_curriculum(loader(), num_samples=60)
    assert [facts[0] for facts in told] == list(range(len(told)))
    assert [facts[2] for facts in told] == sorted(facts[2] for facts in told)


@pytest.mark.parametrize(
    "change", [{"alpha": 0.9}, {"initial_prompt": " "}, {"evolution_strategies": ["magic"]}, {"calls_max": 0}]
)
def test_settings_out_of_bounds_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        config(**change)


def test_the_simulated_truth_is_balanced() -> None:
    labels = [expected_of(one["input"]) for one in samples(200)]
    assert 70 < labels.count("high") < 130


def _replies(count: int) -> list[dict[str, Any]]:
    return [
        {"input": f"Where is parcel {n}?", "expected": f"Parcel {n} is on its way and comes on day {n}."}
        for n in range(count)
    ]


async def test_free_text_answers_end_the_run_with_a_reason_before_anything_is_paid() -> None:
    results = await AdaptiveCurriculumAgent(config(), model(nothing_helps)).run_curriculum(_replies, num_samples=60)
    assert (results["outcome"], results["calls"], results["best_prompt"]) == ("failed", 0, SEED_PROMPT)
    assert "free text" in results["reason"]
    assert "is on its way" in results["reason"]


async def test_free_text_answers_can_be_evolved_on_with_a_judge_of_ones_own() -> None:
    def judge(prompt: str, asked: list[dict[str, Any]]) -> list[float]:
        return [0.5] * len(asked)

    agent = AdaptiveCurriculumAgent(config(max_iterations=1), model(nothing_helps))
    results = await agent.run_curriculum(_replies, judge, num_samples=60)
    assert results["outcome"] == "no_evidence"


async def test_a_seed_prompt_that_is_never_right_ends_the_run_early_and_says_what_was_expected() -> None:
    def never(n: int) -> list[dict[str, Any]]:
        return [{"input": f"What is {i} squared?", "expected": str(i * i)} for i in range(n)]

    results = await AdaptiveCurriculumAgent(config(), ScriptedLLM(lambda request: "no idea")).run_curriculum(
        never, num_samples=60
    )
    assert (results["outcome"], results["calls"]) == ("failed", 48)
    assert "scores 0 on all 48 search items" in results["reason"]
    assert "the model answered 'no idea'" in results["reason"]


CLASSES = [f"class {n}" for n in range(9)]


def of_many_classes(count: int) -> list[dict[str, str]]:
    return [{"input": f"text number {n}", "expected": CLASSES[n % 9]} for n in range(count)]


def knows_classes(request: Request) -> str | Reply:
    """Right where it is asked between labels, and too talkative to be understood where it writes."""
    right = CLASSES[int(request.messages[-1].text.split()[-1]) % 9]
    said = {label: -0.1 if label == right else -5.0 for label in request.labels}
    return Reply(right, "scripted", label_logprobs=said) if said else f"I would say that this is {right}."


@pytest.mark.parametrize(
    ("labels", "scoring", "score"),
    [(None, "text", 0.0), (CLASSES, "label_logprobs", 1.0), ([], "text", 0.0)],
    ids=["found out", "said", "said to be texts"],
)
async def test_answers_that_are_said_are_read_by_label_also_where_few_items_do_not_show_that_they_are_all(
    labels: list[str] | None, scoring: str, score: float
) -> None:
    llm = ScriptedLLM(knows_classes, capabilities=Capabilities(label_logprobs=True, temperature=True))
    agent = AdaptiveCurriculumAgent(config(labels=labels, gate_samples=20, max_iterations=1), llm)
    results = await agent.run_curriculum(of_many_classes, num_samples=25)
    assert (results["scoring"], results["performance_history"][0]["score"]) == (scoring, score)


async def test_an_answer_that_is_none_of_those_that_were_said_is_refused_before_a_call() -> None:
    llm = ScriptedLLM(knows_classes, capabilities=Capabilities(label_logprobs=True, temperature=True))
    agent = AdaptiveCurriculumAgent(config(labels=CLASSES[:5], gate_samples=20), llm)
    with pytest.raises(CallerError, match="'class 5' is expected of an item and is none of the labels"):
        await agent.run_curriculum(of_many_classes, num_samples=25)
    assert llm.requests == []
    with pytest.raises(ConfigurationError, match="two answers or more"):
        config(labels=["only"])


async def test_whoever_leads_after_a_restart_is_the_parent_of_the_next_turn() -> None:
    seen: dict[str, int] = {}

    def late_ones_are_better(prompt: str) -> float:
        return 0.6 if seen.setdefault(prompt, len(seen)) < 34 else 0.9

    agent = AdaptiveCurriculumAgent(config(calls_max=20000, max_iterations=60), model(late_ones_are_better, spread=0.0))
    results = await agent.run_curriculum(samples, num_samples=100)
    said = [one["decision"] for one in results["decisions"]]
    after = said[said.index("the search starts again") + 1 :]
    [first, second, *_] = after
    restarted_from = first.split()[-1]
    assert second.endswith(restarted_from)
    leads = next(number for number, one in enumerate(after) if one.endswith(" leads"))
    leader = after[leads].split()[0]
    assert leader != restarted_from
    assert [one.split()[-1] for one in after[leads + 1 : leads + 3]] == [leader, leader]
