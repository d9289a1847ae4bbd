"""Caps hold whatever happens at once: no call, token or cent above them, and no attempt into a rate limit that was named."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meta_learning.errors import BudgetExhausted, LLMUnavailable
from meta_learning.llm import Message, Reply, Request
from meta_learning.llm.cache import FileCache, remembering
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.prices import Price
from meta_learning.llm.retry import Retrying, RetryPolicy
from meta_learning.llm.scripted import ScriptedLLM

PRICE = Price(3.0, 15.0)


class Erratic(ScriptedLLM):
    """Takes as many turns of the loop as it is told, fails where it is told, and reports any number of tokens it may."""

    def __init__(self, plan: list[tuple[int, bool, float]]) -> None:
        super().__init__(lambda request: "never asked")
        self.plan = plan
        self.calls = self.tokens = 0
        self.money = 0.0

    async def complete(self, request: Request) -> Reply:
        turns, fails, share = self.plan[self.calls % len(self.plan)]
        self.calls += 1
        for _ in range(turns):
            await asyncio.sleep(0)
        if fails:
            raise LLMUnavailable("busy")
        prompt, completion = int(share * len(request.messages[0].text)), int(share * request.max_tokens)
        self.tokens += prompt + completion
        self.money += PRICE.of(prompt, completion)
        return Reply("yes", self.model, prompt_tokens=prompt, completion_tokens=completion)


PLANS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.floats(0.0, 1.0)), min_size=1, max_size=12)
CAPS = st.builds(
    Caps,
    calls=st.none() | st.integers(0, 25),
    tokens=st.none() | st.integers(0, 3000),
    money_usd=st.none() | st.floats(0.0, 0.02),
)


async def _no_wait(seconds: float) -> None:
    await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(plan=PLANS, caps=CAPS)
def test_no_cap_is_exceeded_whatever_fails_and_whatever_overlaps(
    plan: list[tuple[int, bool, float]], caps: Caps
) -> None:
    async def all_at_once() -> tuple[Erratic, Ledger, list[Any]]:
        llm, ledger = Erratic(plan), Ledger(caps, price=lambda provider, model: PRICE)
        guarded = metered(llm, ledger, retry=Retrying(RetryPolicy(attempts_max=3), sleep=_no_wait))
        requests = [Request((Message("user", "word " * 10),), max_tokens=20, sample=number) for number in range(20)]
        said = await asyncio.gather(*map(guarded.complete, requests), return_exceptions=True)
        return llm, ledger, said

    llm, ledger, said = asyncio.run(all_at_once())
    assert caps.calls is None or llm.calls <= caps.calls
    assert caps.tokens is None or llm.tokens <= caps.tokens
    assert caps.money_usd is None or llm.money <= caps.money_usd + 1e-12
    # The ledger says what the provider would say, and nobody got anything but an answer, an outage or a refusal.
    assert (ledger.spent.calls, ledger.spent.tokens) == (llm.calls, llm.tokens)
    assert all(isinstance(one, Reply | LLMUnavailable | BudgetExhausted) for one in said)
    assert sum(isinstance(one, Reply) for one in said) == sum(entry.error is None for entry in ledger.entries)


async def test_a_wait_that_the_server_names_holds_for_everybody() -> None:
    now, starts = 0.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def attempt() -> str:
        starts.append(now)
        if len(starts) == 1:
            raise LLMUnavailable("slow down", retry_after_s=7.0)
        return "done"

    waiting = asyncio.Event()

    async def patient(seconds: float) -> None:
        waiting.set()
        await asyncio.sleep(0)
        await sleep(seconds)

    retrying = Retrying(RetryPolicy(), sleep=patient, clock=lambda: now)
    first = asyncio.create_task(retrying.run(attempt))
    await waiting.wait()
    assert await retrying.run(attempt) == "done"
    assert await first == "done"
    assert min(starts[1:]) >= 7.0


async def test_what_is_kept_on_disk_is_not_paid_for_by_another_run(tmp_path: Path) -> None:
    asked = Request((Message("user", "hello"),))
    first, second = ScriptedLLM(lambda request: "hi"), ScriptedLLM(lambda request: "other")
    await remembering(first, FileCache(tmp_path)).complete(asked)
    ledger = Ledger(Caps(calls=1))
    guarded = metered(remembering(second, FileCache(tmp_path)), ledger)
    for _ in range(3):
        reply = await guarded.complete(asked)
        assert (reply.text, reply.cached) == ("hi", True)
    assert second.requests == []
    assert (ledger.spent.calls, ledger.by_purpose()["task"]["cached"]) == (0, 3)


async def test_a_damaged_reply_on_disk_is_asked_for_again(tmp_path: Path) -> None:
    asked, llm = Request((Message("user", "hello"),)), ScriptedLLM(lambda request: "hi")
    kept = remembering(llm, FileCache(tmp_path))
    await kept.complete(asked)
    (file,) = tmp_path.rglob("*.json")
    file.write_text('{"text": "h')
    assert (await kept.complete(asked)).cached is False
    assert (await kept.complete(asked)).cached is True
