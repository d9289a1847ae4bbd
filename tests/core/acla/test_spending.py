"""A run spends so that its decision is paid for, whatever is capped and whatever fails on the way."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent, MemoryRunStore
from meta_learning.acla.pacing import only_gate_fits
from meta_learning.acla.planning import GatePlan
from meta_learning.acla.store import RunLog
from meta_learning.errors import LLMUnavailable
from meta_learning.llm import Capabilities, Message, Reply, Request
from meta_learning.llm.batch_book import BatchBook
from meta_learning.llm.batching import BatchingLLM, Terms
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.retry import Retrying, RetryPolicy
from meta_learning.llm.scripted import ScriptedBatches, ScriptedLLM
from tests.core.acla.simulated import chance, config, model, samples, with_examples


async def _no_wait(seconds: float) -> None:
    """Retries need no time here."""


def retrying() -> Retrying:
    return Retrying(RetryPolicy(attempts_max=50), sleep=_no_wait)


def failing(share: float) -> ScriptedLLM:
    """A model whose attempts fail at random, the same ones in every life."""
    llm, seen = model(with_examples), dict[str, int]()
    answer = llm.answer

    def sometimes(request: Request) -> Any:
        name = request.digest("p", "m")
        seen[name] = seen.get(name, 0) + 1
        return LLMUnavailable("busy") if chance(name, seen[name]) < share else answer(request)

    llm.answer = sometimes
    return llm


async def run(llm: ScriptedLLM, store: MemoryRunStore | None = None, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"max_iterations": 30, "gate_samples": 40, "min_performance_threshold": 1.0} | changes
    agent = AdaptiveCurriculumAgent(config(**settings), llm, store=store, run_id="r", retry=retrying())
    return await agent.run_curriculum(samples, num_samples=60)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
async def test_retries_count_as_calls_and_the_decision_is_still_paid_for(share: float) -> None:
    llm = failing(share)
    results = await run(llm, calls_max=400)
    assert len(llm.requests) <= 400
    assert results["spent"]["calls"] == len(llm.requests)
    assert results["gate"] is not None, results["reason"]


@pytest.mark.parametrize("first_failure", [290, 270, 240])
async def test_calls_that_give_out_within_the_decision_leave_it_to_the_items_that_were_answered(
    first_failure: int,
) -> None:
    llm, seen = model(with_examples), set[str]()
    answer = llm.answer

    def later_every_third(request: Request) -> Any:
        name = request.digest("p", "m")
        fails = len(llm.requests) >= first_failure and name not in seen and chance(name) < 1 / 3
        seen.add(name)
        return LLMUnavailable("busy") if fails else answer(request)

    llm.answer = later_every_third
    results = await run(llm, calls_max=300)
    assert len(llm.requests) <= 300
    assert results["gate"] is not None, results["reason"]
    assert "the cap of 300" in results["reason"]


async def test_tokens_are_capped_and_enough_of_them_are_kept_for_the_decision() -> None:
    llm = model(with_examples)
    results = await run(llm, tokens_max=12_000)
    assert results["spent"]["tokens"] <= 12_000
    assert results["gate"] is not None, results["reason"]
    assert any(one["pairs_count"] == 40 for one in results["gate"]["finalists"])


async def test_what_is_on_its_way_when_a_run_is_stopped_comes_home_and_is_recorded() -> None:
    llm, store = model(with_examples), MemoryRunStore()
    llm.capabilities = Capabilities(temperature=True, concurrency_max=8)
    agent = AdaptiveCurriculumAgent(config(), llm, store=store, run_id="r", should_stop=lambda: len(llm.requests) >= 20)
    results = await agent.run_curriculum(samples, num_samples=60)
    assert results["outcome"] == "cancelled"
    assert len(RunLog(store, "r", "scripted").paid) == len(llm.requests)


async def test_every_life_of_a_run_counts_the_failures_of_the_earlier_ones() -> None:
    wanted, store, first = await run(failing(0.3), calls_max=300), MemoryRunStore(), failing(0.3)
    answer = first.answer

    class Killed(BaseException):
        """Like SIGKILL."""

    def dying(request: Request) -> str | Reply | Exception:
        if len(first.requests) == 150:
            raise Killed
        return answer(request)

    first.answer = dying
    first.capabilities = Capabilities(temperature=True, concurrency_max=1)
    with pytest.raises(Killed):
        await run(first, store, calls_max=300)
    earlier = RunLog(store, "r", "scripted").paid
    assert sum(entry.error is not None for entry in earlier) > 10
    resumed = await run(failing(0.3), store, calls_max=300)
    assert resumed["spent"]["calls"] <= 300
    assert resumed["outcome"] == wanted["outcome"]


class Outage(ScriptedLLM):
    """Eight at once, of which one fails at call ``fails_at`` while the others are on their way."""

    def __init__(self, fails_at: int | None, error: BaseException | None = None) -> None:
        super().__init__(model(with_examples).answer, capabilities=Capabilities(temperature=True, concurrency_max=8))
        self.fails_at, self.error = fails_at, error or LLMUnavailable("down")

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        number = len(self.requests)
        await asyncio.sleep(0)
        if self.fails_at is not None and number >= self.fails_at:
            await asyncio.sleep(0.002 if number == self.fails_at else 60.0)
            raise self.error
        answer = self.answer(request)
        assert isinstance(answer, str)
        return Reply(answer, "scripted", 5, 1)


async def lives(llms: list[Outage], **changes: Any) -> tuple[dict[str, Any], MemoryRunStore, list[Request]]:
    store, sent, results = MemoryRunStore(), list[Request](), dict[str, Any]()
    for llm in llms:
        agent = AdaptiveCurriculumAgent(
            config(**changes), llm, store=store, run_id="r", retry=Retrying(RetryPolicy(attempts_max=1))
        )
        with suppress(LLMUnavailable, asyncio.CancelledError):
            results = await agent.run_curriculum(samples, num_samples=60)
        sent += llm.requests
    return results, store, sent


async def test_a_cap_on_calls_holds_over_many_lives_with_what_was_on_its_way_at_each_outage() -> None:
    results, store, sent = await lives([*map(Outage, [20] * 7), Outage(None)], calls_max=200, gate_samples=40)
    assert results["spent"]["calls"] == len(sent) <= 200
    rows = [event for event in store.read("r") if event["kind"] in ("reply", "failed")]
    assert len(rows) == len(sent)
    assert sum(row.get("error") == "CancelledError" for row in rows) >= 7


async def test_what_was_on_its_way_when_a_run_was_cut_off_changes_no_plan() -> None:
    cut = Outage(100, asyncio.CancelledError())  # as by Ctrl-C: no failure of the model's, which plans heed
    wanted, _, _ = await lives([Outage(None)], calls_max=1_000, max_iterations=4)
    resumed, store, sent = await lives([cut, Outage(None)], calls_max=1_000, max_iterations=4)
    assert sum(event.get("error") == "CancelledError" for event in store.read("r")) > 1
    spent = resumed.pop("spent")
    assert wanted.pop("spent")["calls"] < spent["calls"] == len(sent)
    assert resumed == wanted


async def test_a_cancelled_call_counts_only_where_something_was_sent_that_no_later_life_fetches() -> None:
    store = MemoryRunStore()
    batches = ScriptedBatches(lambda request: "yes", polls_count=1_000)
    batching = BatchingLLM(Outage(0), batches, BatchBook(), Terms(count_min=4, at_once=2))
    ledger = Ledger()
    llm = metered(batching, ledger, RunLog(store, "r", "scripted"))

    def asking(*numbers: int, **more: Any) -> list[asyncio.Task[Reply]]:
        return [asyncio.create_task(llm.complete(Request((Message("user", f"{n}"),), **more))) for n in numbers]

    tasks = asking(*range(10)) + asking(*range(10, 15), purpose="proposer")
    while not batches.submitted:
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await batching.close()
    assert len(batches.submitted[0]) == 10
    assert [event["purpose"] for event in store.read("r")] == ["proposer"] * 2, (
        "those that had room; the others never left"
    )
    assert ledger.spent.calls == 2


@pytest.mark.parametrize("calls_max", [230, 350])
async def test_what_no_climb_can_have_any_more_goes_to_newcomers(calls_max: int) -> None:
    results = await run(model(with_examples), calls_max=calls_max)
    # Less than a newcomer's first rung is left: eight items for it, eight for whoever leads.
    assert calls_max - 16 < results["calls"] <= calls_max
    assert results["gate"] is not None, results["reason"]


def test_a_cap_on_tokens_leaves_room_to_search_where_thousands_may_be_asked_at_once() -> None:
    ledger, request = Ledger(Caps(tokens=100_000)), Request((Message("user", "a text of some words"),))

    def spend(count: int) -> None:
        for _ in range(count):
            reply = Reply("high", "scripted", prompt_tokens=50, completion_tokens=1)
            ledger.settle(ledger.reserve(request, "scripted", "scripted"), reply)

    spend(1000)  # half of it
    assert not only_gate_fits(ledger, GatePlan(100, 1), 10_000)
    spend(700)
    assert only_gate_fits(ledger, GatePlan(100, 1), 10_000)


def test_what_batches_may_take_is_kept_for_the_decision_though_their_answers_have_no_latency() -> None:
    now = 0.0
    ledger = Ledger(Caps(seconds=600.0), clock=lambda: now)
    request = Request((Message("user", "a text of some words"),))
    for _ in range(50):
        ledger.settle(ledger.reserve(request, "scripted", "scripted"), Reply("high", "scripted", batched=True))
    due = []
    for now in (0.0, 250.0, 299.0, 301.0):  # noqa: B007 (the clock reads it)
        due.append(only_gate_fits(ledger, GatePlan(100, 1), 8, batch_wait_s=100.0))
    # A batch of the search, the seed prompt's, the finalist's: a hundred seconds each.
    assert due == [False, False, False, True]


async def test_nothing_is_asked_again_once_what_is_left_is_the_decisions() -> None:
    llm = model(with_examples)
    results = await run(llm, tokens_max=1200, calls_max=2000)
    assert {request.purpose for request in llm.requests} == {"task"}
    # Asked again, the questions had used up what is kept: "the cap would be exceeded, before there was a decision".
    assert "the time for searching is over" in results["reason"]
