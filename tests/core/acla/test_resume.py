"""A run that is killed goes on as if nothing had happened."""

from __future__ import annotations

from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent, MemoryRunStore
from meta_learning.acla.store import RULES
from meta_learning.errors import ConfigurationError, LLMUnavailable, MalformedState
from meta_learning.llm import Capabilities, Request
from meta_learning.llm.retry import Retrying, RetryPolicy
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import config, model, samples, shows_examples, with_examples

SMALL: dict[str, Any] = {"max_iterations": 5, "children_count": 1, "gate_samples": 20}


class Killed(BaseException):
    """Like SIGKILL: nothing in the library may catch it."""


def one_at_a_time() -> ScriptedLLM:
    llm = model(with_examples)
    llm.capabilities = Capabilities(temperature=True, concurrency_max=1)
    return llm


def killed_at(number: int) -> ScriptedLLM:
    llm = one_at_a_time()
    answer = llm.answer

    def dying(request: Request) -> Any:
        if len(llm.requests) == number:
            raise Killed
        return answer(request)

    llm.answer = dying
    return llm


async def finish(llm: ScriptedLLM, store: MemoryRunStore, **changes: Any) -> dict[str, Any]:
    agent = AdaptiveCurriculumAgent(config(**(SMALL | changes)), llm, store=store, run_id="r")
    return await agent.run_curriculum(samples, num_samples=12)


@pytest.mark.parametrize(
    ("changes", "step"),
    [({}, 2), ({"ensemble_size": 3}, 9), ({"initial_voters": [{"prompt": "High or low?", "calibrated": False}]}, 9)],
    ids=["one prompt", "several may vote", "several vote already"],
)
async def test_a_run_killed_at_any_call_ends_the_same_and_pays_no_recorded_call_twice(
    changes: dict[str, Any], step: int
) -> None:
    unbroken = one_at_a_time()
    wanted = await finish(unbroken, MemoryRunStore(), **changes)
    assert wanted["gate"] is not None
    assert {request.purpose for request in unbroken.requests} == {"task", "probe", "proposer"}
    for number in range(1, len(unbroken.requests) + 1, step):
        store, first, second = MemoryRunStore(), killed_at(number), one_at_a_time()
        with pytest.raises(Killed):
            await finish(first, store, **changes)
        assert await finish(second, store, **changes) == wanted
        # The call that died was made twice, since nobody saw its reply; every other one once.
        assert len(first.requests) - 1 + len(second.requests) == len(unbroken.requests)


async def test_a_run_killed_again_and_again_still_ends_the_same() -> None:
    unbroken, store = one_at_a_time(), MemoryRunStore()
    wanted = await finish(unbroken, MemoryRunStore(), calls_max=90)
    for _ in range(len(unbroken.requests)):
        try:
            results = await finish(killed_at(8), store, calls_max=90)
            break
        except Killed:
            continue
    assert results == wanted


def rewritten(store: MemoryRunStore, **changes: Any) -> MemoryRunStore:
    """The same log, whose plan says something else, as another release (or an editor) would have left it."""
    other = MemoryRunStore()
    for event in store.read("r"):
        other.append("r", {**event, **changes.get(event["kind"], {})})
    return other


async def test_a_run_cut_off_under_other_rules_decides_anew_and_pays_no_question_twice() -> None:
    unbroken, begun, second = one_at_a_time(), MemoryRunStore(), one_at_a_time()
    wanted = await finish(unbroken, MemoryRunStore())
    first = killed_at(30)
    with pytest.raises(Killed):
        await finish(first, begun)
    earlier = rewritten(begun, rules={"rules": 0}, planned={"items_count": -1})
    assert await finish(second, earlier) == wanted
    assert len(first.requests) - 1 + len(second.requests) == len(unbroken.requests)
    assert [event["rules"] for event in earlier.read("r") if event["kind"] == "rules"] == [0, RULES]
    assert await finish(nobody := one_at_a_time(), earlier) == wanted, "a finished run keeps its results"
    assert not nobody.requests


async def test_a_run_that_would_differ_from_its_own_past_stops_and_says_what_to_do() -> None:
    begun = MemoryRunStore()
    with pytest.raises(Killed):
        await finish(killed_at(30), begun)
    with pytest.raises(MalformedState, match="start a run of another name"):
        await finish(one_at_a_time(), rewritten(begun, planned={"items_count": -1}))


async def test_a_cancelled_run_goes_on_where_it_stopped() -> None:
    unbroken, store, first, second = one_at_a_time(), MemoryRunStore(), one_at_a_time(), one_at_a_time()
    wanted = await finish(unbroken, MemoryRunStore())
    agent = AdaptiveCurriculumAgent(
        config(**SMALL), first, store=store, run_id="r", should_stop=lambda: len(first.requests) >= 25
    )
    assert (await agent.run_curriculum(samples, num_samples=12))["outcome"] == "cancelled"
    assert await finish(second, store) == wanted
    assert len(first.requests) + len(second.requests) == len(unbroken.requests)


async def test_an_outage_leaves_the_run_resumable() -> None:
    store, first, second = MemoryRunStore(), one_at_a_time(), one_at_a_time()
    answer = first.answer
    first.answer = lambda request: LLMUnavailable("down") if len(first.requests) > 20 else answer(request)
    agent = AdaptiveCurriculumAgent(
        config(**SMALL), first, store=store, run_id="r", retry=Retrying(RetryPolicy(attempts_max=1))
    )
    with pytest.raises(LLMUnavailable):
        await agent.run_curriculum(samples, num_samples=12)
    wanted, resumed = await finish(one_at_a_time(), MemoryRunStore()), await finish(second, store)
    spent, wanted_spent = resumed.pop("spent"), wanted.pop("spent")
    assert resumed == wanted
    # Attempts that failed were calls: they are in the sums of every later life.
    failed_count = len(first.requests) - 20
    assert failed_count >= 1
    assert sum(one["failed"] for one in spent["purposes"].values()) == failed_count
    assert spent["calls"] == wanted_spent["calls"] + failed_count


async def test_a_finished_run_is_answered_from_its_log_without_a_call() -> None:
    store, again = MemoryRunStore(), one_at_a_time()
    wanted = await finish(one_at_a_time(), store)
    assert await finish(again, store) == wanted
    assert again.requests == []


async def test_a_run_cannot_be_resumed_with_other_settings() -> None:
    store = MemoryRunStore()
    with pytest.raises(Killed):
        await finish(killed_at(5), store)
    with pytest.raises(ConfigurationError, match="other settings"):
        await finish(one_at_a_time(), store, alpha=0.2)


async def test_scores_of_an_evaluation_function_are_not_computed_twice() -> None:
    computed: list[str] = []

    def scores(dies_at: int) -> Any:
        def evaluate(prompt: str, items: list[dict[str, Any]]) -> list[float]:
            if len(computed) == dies_at:
                computed.append("died")
                raise Killed
            computed.append(prompt)
            return [float(shows_examples(prompt) or item["metadata"]["i"] % 2) for item in items]

        return evaluate

    async def run(store: MemoryRunStore, dies_at: int) -> dict[str, Any]:
        agent = AdaptiveCurriculumAgent(config(**SMALL), one_at_a_time(), store=store, run_id="r")
        return await agent.run_curriculum(samples, scores(dies_at), num_samples=12)

    wanted = await run(MemoryRunStore(), -1)
    count = len(computed)
    computed.clear()
    store = MemoryRunStore()
    with pytest.raises(Killed):
        await run(store, 6)
    assert await run(store, -1) == wanted
    assert len(computed) == count + 1


async def test_a_run_that_ended_by_earlier_rules_still_tells_its_results() -> None:
    store, older = MemoryRunStore(), MemoryRunStore()
    expected = await finish(one_at_a_time(), store)
    for event in store.read("r"):
        if event["kind"] == "rules":
            event = {**event, "rules": RULES - 1}
        if event["kind"] == "started":
            event = {**event, "config": {name: one for name, one in event["config"].items() if name != "judge"}}
            del event["data"]
        older.append("r", event)
    silent = one_at_a_time()
    assert await finish(silent, older) == expected
    assert silent.requests == []
    with pytest.raises(ConfigurationError, match="other settings"):
        await finish(silent, older, max_iterations=4)
    agent = AdaptiveCurriculumAgent(config(**SMALL), silent, store=older, run_id="r")
    with pytest.raises(ConfigurationError, match="other settings, data or model"):
        await agent.run_curriculum(lambda count: samples(count, world=1), num_samples=12)
