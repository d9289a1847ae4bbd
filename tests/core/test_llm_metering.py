"""Caps, cache and retries: what keeps a run from paying too much, or twice."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from meta_learning.errors import (
    BudgetExhausted,
    CallerError,
    ConfigurationError,
    LLMUnavailable,
    UnknownModel,
)
from meta_learning.llm import Message, Reply, Request
from meta_learning.llm.cache import MemoryCache
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.prices import Price
from meta_learning.llm.retry import Retrying, RetryPolicy
from meta_learning.llm.scripted import ScriptedLLM


def ask(text: str = "hello", sample: int = 0) -> Request:
    return Request((Message("user", text),), max_tokens=10, sample=sample)


def slow(reply: str = "fine words") -> ScriptedLLM:
    """A model whose calls overlap, so that reservations are all that keeps a cap."""

    class Slow(ScriptedLLM):
        async def complete(self, request: Request) -> Reply:
            await asyncio.sleep(0)
            return await super().complete(request)

    return Slow(lambda request: reply)


@pytest.mark.parametrize("cap", [0, 1, 5])
async def test_concurrent_calls_never_exceed_a_cap_on_calls(cap: int) -> None:
    llm = slow()
    guarded = metered(llm, Ledger(Caps(calls=cap)))
    said = await asyncio.gather(*(guarded.complete(ask(sample=n)) for n in range(20)), return_exceptions=True)
    assert len(llm.requests) == cap
    assert sum(isinstance(one, BudgetExhausted) for one in said) == 20 - cap


async def test_a_cap_on_tokens_is_kept_by_reserving_the_most_that_a_call_can_take() -> None:
    ledger = Ledger(Caps(tokens=200))
    guarded = metered(slow(), ledger)
    await asyncio.gather(*(guarded.complete(ask(sample=n)) for n in range(20)), return_exceptions=True)
    assert 0 < ledger.spent.tokens <= 200


async def test_a_cap_on_money_is_kept_and_needs_a_known_price() -> None:
    ledger = Ledger(Caps(money_usd=1e-4), price=lambda provider, model: Price(1.0, 1.0))
    guarded = metered(slow(), ledger)
    await asyncio.gather(*(guarded.complete(ask(sample=n)) for n in range(200)), return_exceptions=True)
    assert ledger.spent.money_usd is not None
    assert 0.0 < ledger.spent.money_usd <= 1e-4
    with pytest.raises(ConfigurationError, match="no price"):
        Ledger(Caps(money_usd=1.0), price=lambda provider, model: None).reserve(ask(), "x", "y")


def test_a_cap_on_seconds_stops_the_next_call() -> None:
    now = 0.0
    ledger = Ledger(Caps(seconds=10.0), clock=lambda: now)
    ledger.reserve(ask(), "scripted", "scripted")
    now = 10.0
    with pytest.raises(BudgetExhausted, match="seconds"):
        ledger.reserve(ask(), "scripted", "scripted")


async def test_every_attempt_is_in_the_ledger_with_its_purpose_and_its_error() -> None:
    answers: list[Any] = [LLMUnavailable("busy"), "yes"]
    ledger = Ledger()
    guarded = metered(ScriptedLLM(lambda request: answers.pop(0)), ledger, MemoryCache(), retrying([]))
    await guarded.complete(ask())
    await guarded.complete(ask())
    assert [(entry.error, entry.cached) for entry in ledger.entries] == [
        ("LLMUnavailable", False),
        (None, False),
        (None, True),
    ]
    assert {entry.purpose for entry in ledger.entries} == {"task"}
    assert ledger.spent.calls == 2


async def test_equal_requests_in_flight_are_paid_once_and_other_samples_again() -> None:
    llm = slow()
    guarded = metered(llm, Ledger(), MemoryCache())
    await asyncio.gather(*(guarded.complete(ask()) for _ in range(5)), guarded.complete(ask(sample=1)))
    assert len(llm.requests) == 2


def retrying(waits: list[float], **policy: Any) -> Retrying:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return Retrying(RetryPolicy(**policy), sleep=sleep, rng=random.Random(0))


async def test_waits_double_and_what_the_server_asks_for_is_waited_for() -> None:
    waits: list[float] = []
    answers: list[Any] = [LLMUnavailable("x"), LLMUnavailable("x"), LLMUnavailable("x", retry_after_s=9.0), "done"]
    llm = metered(ScriptedLLM(lambda request: answers.pop(0)), Ledger(), retry=retrying(waits))
    assert (await llm.complete(ask())).text == "done"
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0
    assert waits[2] == 9.0


async def test_after_the_last_attempt_the_outage_is_raised_with_their_number() -> None:
    waits: list[float] = []
    llm = metered(ScriptedLLM(lambda request: LLMUnavailable("down")), Ledger(), retry=retrying(waits, attempts_max=3))
    with pytest.raises(LLMUnavailable, match="gave up after 3 attempts"):
        await llm.complete(ask())
    assert len(waits) == 2


async def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    waits: list[float] = []
    llm = metered(
        ScriptedLLM(lambda request: LLMUnavailable("x", retry_after_s=3600.0)), Ledger(), retry=retrying(waits)
    )
    with pytest.raises(LLMUnavailable):
        await llm.complete(ask())
    assert waits == []


@pytest.mark.parametrize("error", [UnknownModel("gone"), ConfigurationError("no key"), CallerError("too long")])
async def test_what_a_retry_cannot_help_is_raised_at_once(error: Exception) -> None:
    llm = ScriptedLLM(lambda request: error)
    with pytest.raises(type(error)):
        await metered(llm, Ledger(), retry=retrying([])).complete(ask())
    assert len(llm.requests) == 1


def test_the_digest_tells_apart_everything_that_may_change_an_answer() -> None:
    base = ask()
    others = [
        ask("other"),
        ask(sample=1),
        Request(base.messages, max_tokens=11),
        Request(base.messages, max_tokens=10, stop=("x",)),
    ]
    digests = {one.digest("p", "m") for one in [base, *others]} | {base.digest("p", "n"), base.digest("q", "m")}
    assert len(digests) == 7
