"""Prices are what vendors' lists say, with the day on which they said so; what is not known is never nothing."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from meta_learning.llm import Message, Reply, Request
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.models import DEFAULTS, MODELS, TABLE_DATE, price_of
from meta_learning.llm.openai import OpenAILLM

PRICED = [(provider, name) for provider, models in MODELS.items() for name, model in models.items() if model.price]
PAID = [(provider, name) for provider, name in PRICED if provider in ("anthropic", "openai")]


@pytest.mark.parametrize(("provider", "name"), PAID)
def test_a_price_says_where_and_when_it_was_read_and_is_never_nothing(provider: str, name: str) -> None:
    price = price_of(provider, name)
    assert price is not None
    assert price.listed is not None
    assert date(2026, 1, 1) < price.listed.seen <= TABLE_DATE
    assert ".com/" in price.listed.where
    assert 0.0 < price.prompt < price.completion
    assert 0.0 < price.read_factor <= 1.0 <= price.write_factor
    assert price.of(1_000_000, 0) <= price.most(1_000_000, 0)


def test_the_models_that_are_used_by_default_have_a_price_and_unknown_ones_have_none() -> None:
    assert all(price_of(provider, name) for provider, name in DEFAULTS.items())
    assert price_of("openai", "gpt-5.4-mini-2026-03-17") == price_of("openai", "gpt-5.4-mini")
    assert price_of("openai", "gpt-6.2-sol") is price_of("openai", "of-tomorrow") is None


def usd(name: str, reply: Reply) -> float:
    price = price_of("openai", name)
    assert price is not None
    return price.of_reply(reply)


def test_what_calls_cost_by_the_list_of_openai() -> None:
    asked: dict[str, Any] = {"prompt_tokens": 1_000_000, "completion_tokens": 100_000}
    assert usd("gpt-5.4-mini", Reply("", "m", **asked)) == pytest.approx(0.75 + 0.45)
    assert usd("gpt-5.4-mini", Reply("", "m", **asked, batched=True)) == pytest.approx((0.75 + 0.45) / 2)
    # A long prompt costs twice as much, what is written after it half as much again.
    assert usd("gpt-6-luna", Reply("", "m", **asked)) == pytest.approx(0.20 + 0.075)
    short: dict[str, Any] = {"prompt_tokens": 200_000, "completion_tokens": 0}
    assert usd("gpt-6-luna", Reply("", "m", **short, cache_read_tokens=100_000)) == pytest.approx(0.010 + 0.001)
    assert usd("gpt-6-luna", Reply("", "m", **short, cache_write_tokens=100_000)) == pytest.approx(0.010 + 0.0125)


def test_what_openai_read_from_its_cache_or_wrote_there_is_heard_and_paid() -> None:
    message = {"role": "assistant", "content": "yes"}
    said: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": "gpt-6-luna"}
    said["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
    usage: dict[str, Any] = {"prompt_tokens": 4000, "completion_tokens": 1, "total_tokens": 4001}
    usage["prompt_tokens_details"] = {"cached_tokens": 2000, "cache_write_tokens": 1000}
    request = Request((Message("user", "word " * 4000),))
    llm = OpenAILLM("gpt-6-luna", api_key="none")
    reply = llm.reply(ChatCompletion.model_validate(said | {"usage": usage}), request, 0.0)
    assert (reply.prompt_tokens, reply.cache_read_tokens, reply.cache_write_tokens) == (4000, 2000, 1000)
    ledger = Ledger(Caps(money_usd=1.0))
    ledger.settle(ledger.reserve(request, "openai", "gpt-6-luna"), reply)
    assert ledger.spent.money_usd == pytest.approx((1000 + 0.1 * 2000 + 1.25 * 1000) * 0.10e-6 + 0.50e-6)
    silent = llm.reply(
        ChatCompletion.model_validate(said | {"usage": usage | {"prompt_tokens_details": None}}), request, 0.0
    )
    assert (silent.cache_read_tokens, silent.cache_write_tokens) == (0, 0)
