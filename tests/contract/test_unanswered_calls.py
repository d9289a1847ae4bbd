"""What a call costs that brought no reply, or whose server does not count: nothing where it was refused, else the most."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from meta_learning.errors import BudgetExhausted, LLMUnavailable, MetaLearningError
from meta_learning.llm import LLM, Request
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.estimate import most_tokens
from meta_learning.llm.ledger import Caps, Entry, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.prices import Price
from tests.contract.asking import ASK
from tests.contract.llm_servers import Script, serving

VENDORS = ["openai", "anthropic"]
PRICE = Price(1.0, 5.0, write_factor=1.25)


def adapter(kind: str, url: str, timeout_s: float = 5.0) -> LLM:
    if kind == "openai":
        return OpenAILLM("known", base_url=url, timeout_s=timeout_s)
    return AnthropicLLM("known", base_url=url.removesuffix("/v1"), api_key="k", timeout_s=timeout_s)


async def entry_of(llm: LLM, request: Request = ASK) -> Entry:
    """The row of one call, whatever became of it."""
    ledger = Ledger(price=lambda provider, model: PRICE)
    guarded = metered(llm, ledger)
    with suppress(MetaLearningError):
        await guarded.complete(request)
    await guarded.close()
    [entry] = ledger.entries
    return entry


def assert_at_its_most(entry: Entry) -> None:
    assert (entry.prompt_tokens, entry.completion_tokens) == most_tokens(ASK)
    assert entry.price_usd == PRICE.most(*most_tokens(ASK))
    assert entry.estimated


@contextmanager
def hanging_up() -> Iterator[str]:
    """A server that reads a request and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            conn, _ = door.accept()
            with conn:
                conn.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/v1"
        thread.join(5)


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_call_that_times_out_counts_with_all_that_was_reserved(kind: str) -> None:
    with serving(Script(hang=threading.Event())) as url:
        assert_at_its_most(await entry_of(adapter(kind, url, timeout_s=0.2)))


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_connection_that_is_lost_after_the_request_counts_with_all_that_was_reserved(kind: str) -> None:
    with hanging_up() as url:
        assert_at_its_most(await entry_of(adapter(kind, url)))


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_error_of_the_server_counts_with_all_that_was_reserved(kind: str, status: int) -> None:
    with serving(Script(failures=[(status, {}, {"error": {"message": "x", "type": "api_error"}})])) as url:
        assert_at_its_most(await entry_of(adapter(kind, url)))


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize("status", [400, 401, 404, 408, 422, 429, 529])
async def test_what_is_refused_before_any_work_costs_nothing(kind: str, status: int) -> None:
    with serving(Script(failures=[(status, {}, {"error": {"message": "no", "type": "api_error"}})])) as url:
        entry = await entry_of(adapter(kind, url))
    assert entry.error is not None
    assert (entry.prompt_tokens, entry.completion_tokens, entry.price_usd, entry.estimated) == (0, 0, 0.0, False)


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_connection_that_is_refused_costs_nothing(kind: str) -> None:
    with serving(Script()) as url:
        pass
    entry = await entry_of(adapter(kind, url))
    assert (entry.error, entry.prompt_tokens, entry.price_usd) == ("LLMUnavailable", 0, 0.0)


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_server_that_does_not_count_is_entered_with_the_most_and_the_reply_says_so(kind: str) -> None:
    with serving(Script(counts=False)) as url:
        llm = adapter(kind, url)
        assert (await llm.complete(ASK)).estimated
        assert_at_its_most(await entry_of(llm))
    with serving(Script()) as url:
        assert not (await entry_of(adapter(kind, url))).estimated


async def test_an_answer_without_a_word_is_billed_by_what_the_server_counted() -> None:
    with serving(Script(text="", finish_reason="length")) as url:
        entry = await entry_of(adapter("openai", url))
    assert (entry.error, entry.prompt_tokens, entry.completion_tokens) == ("CallerError", 7, 2)
    assert entry.price_usd == PRICE.of(7, 2)
    assert not entry.estimated


@pytest.mark.parametrize("caps", [Caps(tokens=2000), Caps(money_usd=0.001)], ids=["tokens", "money"])
async def test_caps_bind_for_calls_that_time_out(caps: Caps) -> None:
    ledger = Ledger(caps, price=lambda provider, model: PRICE)
    with serving(Script(failures=[(504, {}, {})] * 50)) as url:
        llm = metered(adapter("openai", url), ledger)
        said = await asyncio.gather(*(llm.complete(ASK) for _ in range(50)), return_exceptions=True)
        await llm.close()
    assert {type(one) for one in said} == {LLMUnavailable, BudgetExhausted}
    assert 0 < len(ledger.entries) < 50
    assert 0 < ledger.spent.tokens <= (caps.tokens or 10**6)
    assert 0.0 < (ledger.spent.money_usd or 0.0) <= (caps.money_usd or 1.0)
