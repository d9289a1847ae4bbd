"""Attempts that may have been billed count against the caps of a run, in every life of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent, MemoryRunStore
from meta_learning.acla.endpoint import hears_system, keeps_max_tokens
from meta_learning.acla.reporting.report import markdown
from meta_learning.acla.store import RunLog
from meta_learning.errors import LLMUnavailable
from meta_learning.llm import Capabilities, Message, Reply, Request
from meta_learning.llm.batch_waiting import waited
from meta_learning.llm.ledger import Ledger, failed_entry
from meta_learning.llm.models import price_of
from meta_learning.llm.retry import Retrying, RetryPolicy
from meta_learning.llm.scripted import ScriptedBatches, ScriptedLLM
from tests.core.acla.simulated import chance, config, model, samples, with_examples

ASKED = Request((Message("user", "hello"),), max_tokens=10)


class Killed(BaseException):
    """Like SIGKILL."""


async def _no_wait(seconds: float) -> None:
    """Retries need no time here."""


def timing_out(share: float, dies_at: int = -1) -> ScriptedLLM:
    """A model whose attempts time out at random, the same ones in every life, and may be billed."""
    llm, seen = model(with_examples), dict[str, int]()
    answer = llm.answer
    llm.capabilities = Capabilities(temperature=True, concurrency_max=1)

    def sometimes(request: Request) -> Any:
        if len(llm.requests) == dies_at:
            raise Killed
        name = request.digest("p", "m")
        seen[name] = seen.get(name, 0) + 1
        late = chance(name, seen[name]) < share
        return LLMUnavailable("timed out", billed=True) if late else answer(request)

    llm.answer = sometimes
    return llm


async def run(llm: ScriptedLLM, store: MemoryRunStore | None = None, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"gate_samples": 20, "min_performance_threshold": 1.0} | changes
    retry = Retrying(RetryPolicy(attempts_max=50), sleep=_no_wait)
    agent = AdaptiveCurriculumAgent(config(**settings), llm, store=store, run_id="r", retry=retry)
    return await agent.run_curriculum(samples, num_samples=30)


async def test_tokens_of_attempts_that_may_be_billed_are_under_the_cap_and_in_the_report() -> None:
    results = await run(timing_out(0.3), tokens_max=12_000)
    purposes = results["spent"]["purposes"]
    count = sum(one["estimated"] for one in purposes.values())
    assert count == sum(one["failed"] for one in purposes.values()) > 0
    assert count * 60 < results["spent"]["tokens"] <= 12_000
    said = f"What {count} calls took was not said by the server"
    assert said in markdown(results, "Say it.", {})
    assert said not in markdown(results | {"spent": {"purposes": {}}}, "Say it.", {})


async def test_a_run_killed_at_any_call_counts_them_again_and_ends_the_same() -> None:
    unbroken = timing_out(0.2)
    wanted = await run(unbroken, calls_max=150)
    for number in range(10, len(unbroken.requests), 31):
        store = MemoryRunStore()
        with pytest.raises(Killed):
            await run(timing_out(0.2, dies_at=number), store, calls_max=150)
        earlier = [one for one in RunLog(store, "r", "scripted").paid if one.error]
        assert all(one.estimated and one.prompt_tokens for one in earlier)
        resumed = await run(timing_out(0.2), store, calls_max=150)
        assert resumed["outcome"] == wanted["outcome"]
        assert resumed["spent"]["calls"] <= 150


def test_a_failed_attempt_is_read_from_the_log_as_it_was_entered_and_from_an_older_log_as_before() -> None:
    store, model_name = MemoryRunStore(), "gpt-5.4-mini"
    log, ledger = RunLog(store, "r", "openai"), Ledger()
    for error in (
        LLMUnavailable("late", billed=True),
        LLMUnavailable("said nothing", billed=(7, 2)),
        LLMUnavailable("busy"),
    ):
        log.failed("d", ledger.fail(ledger.reserve(ASKED, "openai", model_name), error))
    assert RunLog(store, "r", "openai").paid == ledger.entries
    assert [one.estimated for one in ledger.entries] == [True, False, False]
    price = price_of("openai", model_name)
    assert price is not None
    assert ledger.entries[1].price_usd == price.of(7, 2)
    old = MemoryRunStore()
    facts = {"digest": "d", "purpose": "task", "model": model_name, "error": "LLMUnavailable"}
    old.append("r", {"kind": "failed", "seconds": 1.0, **facts})
    assert old.read("r")[0].keys() == store.read("r")[2].keys(), "what was refused is written as before"
    assert RunLog(old, "r", "openai").paid == [failed_entry("task", "openai", model_name, "LLMUnavailable")]


def test_a_reply_of_an_older_log_is_taken_by_what_it_says() -> None:
    store = MemoryRunStore()
    older = {name: value for name, value in asdict(Reply("yes", "m", 0, 0)).items() if name != "estimated"}
    store.append("r", {"kind": "reply", "seconds": 1.0, "digest": "d", "purpose": "task", "reply": older})
    [entry] = RunLog(store, "r", "scripted").paid
    assert (entry.prompt_tokens, entry.estimated) == (0, False)


def test_estimated_tokens_tell_nothing_about_a_server() -> None:
    short, long = (Reply("yes", "m", count, 10, estimated=True) for count in (50, 80))
    assert keeps_max_tokens(ASKED, short) is None
    assert hears_system(short, long) is None


async def test_a_batch_that_is_given_up_may_be_billed() -> None:
    class Silent(ScriptedBatches):
        async def answers(self, batch_id: str) -> Any:
            return None

        async def cancel(self, batch_id: str) -> None:
            raise LLMUnavailable("the vendor does not hear")

    batches = Silent(lambda request: "yes")
    with pytest.raises(LLMUnavailable) as caught:
        await waited(batches, await batches.submit("name", {"d": ASKED}) or "", limit_s=0.01)  # type: ignore[arg-type]
    assert caught.value.billed is True
