"""One suite for the port to language models over every adapter, and what each adapter promises beyond it."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import anthropic
import openai
import pytest

from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable, ModelCallsForbidden, UnknownModel
from meta_learning.llm import LLM, Message, Request, connect, wrap
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.guard import forbid_model_calls
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.local import LocalLLM
from meta_learning.llm.metered import metered
from meta_learning.llm.models import DEFAULTS, MODELS, current_model
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.scripted import ScriptedLLM
from tests.contract.asking import ASK, LABELLED, asking_again, needs_local
from tests.contract.llm_servers import Script, serving

REAL = [pytest.param("openai"), pytest.param("anthropic"), pytest.param("local", marks=needs_local)]


class World:
    """Makes adapters, each against a loopback server of its own, and closes everything."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def serve(self, script: Script) -> str:
        return self._stack.enter_context(serving(script))

    def llm(self, kind: str, script: Script | None = None, model: str = "known", timeout_s: float = 5.0) -> LLM:
        if kind == "scripted":
            return ScriptedLLM(lambda request: "positive")
        if kind == "local":
            return LocalLLM()
        url = self.serve(script or Script())
        if kind == "openai":
            return OpenAILLM(model, base_url=url, timeout_s=timeout_s)
        return AnthropicLLM(model, base_url=url.removesuffix("/v1"), api_key="secret-key", timeout_s=timeout_s)


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack)


@pytest.fixture(params=["scripted", *REAL])
async def llm(request: pytest.FixtureRequest, world: World) -> AsyncIterator[LLM]:
    adapter = world.llm(request.param)
    yield adapter
    await adapter.close()


async def test_a_reply_says_its_text_its_model_and_its_tokens(llm: LLM) -> None:
    reply = await llm.complete(ASK)
    assert reply.text.strip()
    assert reply.model == llm.model
    assert reply.prompt_tokens > 0
    assert reply.completion_tokens > 0
    assert reply.cached is False


async def test_replies_to_concurrent_requests_all_come(llm: LLM) -> None:
    replies = await asyncio.gather(*(llm.complete(ASK) for _ in range(4)))
    assert len({reply.text for reply in replies}) == 1


async def test_a_temperature_that_is_not_accepted_is_said_not_to_be(llm: LLM) -> None:
    reply = await llm.complete(ASK)
    assert reply.sampling == ("as_asked" if llm.capabilities.temperature else "not_accepted")


async def test_closing_twice_is_harmless(llm: LLM) -> None:
    await llm.complete(ASK)
    await llm.close()
    await llm.close()


@pytest.mark.parametrize("kind", REAL)
async def test_forbidden_calls_are_not_made(kind: str, world: World) -> None:
    llm = world.llm(kind)
    with forbid_model_calls(), pytest.raises(ModelCallsForbidden):
        await llm.complete(ASK)
    await llm.close()


async def test_the_fake_answers_while_calls_are_forbidden() -> None:
    with forbid_model_calls():
        assert (await ScriptedLLM(lambda request: "yes").complete(ASK)).text == "yes"


VENDORS = ["openai", "anthropic"]
PASSING: list[tuple[int, dict[str, str], float | None]] = [
    (429, {"Retry-After": "7"}, 7.0),
    (429, {}, None),
    (500, {}, None),
    (503, {"retry-after-ms": "250"}, 0.25),
    (529, {}, None),
    (408, {}, None),
]


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize(("status", "headers", "retry_after_s"), PASSING)
async def test_what_may_pass_is_unavailable_and_asked_only_once(
    kind: str, status: int, headers: dict[str, str], retry_after_s: float | None, world: World
) -> None:
    script = Script(failures=[(status, headers, {"error": {"message": "busy", "type": "overloaded_error"}})])
    llm = world.llm(kind, script)
    with pytest.raises(LLMUnavailable) as caught:
        await llm.complete(ASK)
    assert caught.value.retry_after_s == retry_after_s
    assert len(script.requests) == 1
    await llm.close()


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_refused_key_is_a_configuration_error_that_does_not_repeat_the_key(kind: str, world: World) -> None:
    body = {"error": {"message": "Incorrect API key provided: secret-key", "type": "authentication_error"}}
    llm = world.llm(kind, Script(failures=[(401, {}, body)]))
    with pytest.raises(ConfigurationError) as caught:
        await llm.complete(ASK)
    assert "secret-key" not in "".join(traceback.format_exception(caught.value))
    await llm.close()


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_spent_account_is_not_retried(kind: str, world: World) -> None:
    body = {"error": {"message": "You exceeded your quota", "type": "insufficient_quota", "code": "insufficient_quota"}}
    llm = world.llm(kind, Script(failures=[(429, {}, body)]))
    with pytest.raises(ConfigurationError):
        await llm.complete(ASK)
    await llm.close()


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_model_that_the_server_does_not_know_is_named(kind: str, world: World) -> None:
    llm = world.llm(kind, model="no-such-model")
    with pytest.raises(UnknownModel, match="no-such-model"):
        await llm.complete(ASK)
    await llm.close()


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_refused_request_is_the_callers_mistake(kind: str, world: World) -> None:
    llm = world.llm(
        kind, Script(failures=[(422, {}, {"error": {"message": "too long", "type": "invalid_request_error"}})])
    )
    with pytest.raises(CallerError, match="too long"):
        await llm.complete(ASK)
    await llm.close()


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_server_that_hangs_is_unavailable_after_the_time_out(kind: str, world: World) -> None:
    llm = world.llm(kind, Script(hang=threading.Event()), timeout_s=0.2)
    with pytest.raises(LLMUnavailable):
        await llm.complete(ASK)
    await llm.close()


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_refused_connection_is_unavailable(kind: str) -> None:
    with serving(Script()) as url:
        pass
    llm: LLM = (
        OpenAILLM("known", base_url=url) if kind == "openai" else AnthropicLLM("known", base_url=url, api_key="k")
    )
    with pytest.raises(LLMUnavailable):
        await llm.complete(ASK)
    await llm.close()


async def test_openai_reads_label_logprobs_out_of_the_first_token(world: World) -> None:
    llm = world.llm("openai", Script(logprobs=[("Pos", -0.2), ("neg", -1.8), ("The", -4.0)]))
    assert llm.capabilities.label_logprobs is False
    reply = await llm.complete(LABELLED)
    assert reply.label_logprobs is not None
    assert reply.label_logprobs == pytest.approx({"positive": -0.2, "negative": -1.8})
    assert llm.capabilities.label_logprobs is True
    await llm.close()


async def test_openai_leaves_out_what_the_endpoint_refuses_from_then_on(world: World) -> None:
    script = Script(refused=("temperature", "logprobs"))
    llm = asking_again(world.llm("openai", script))
    first = await llm.complete(LABELLED)
    assert (first.sampling, first.label_logprobs) == ("not_accepted", None)
    asked = len(script.requests)
    await llm.complete(LABELLED)
    assert len(script.requests) == asked + 1
    await llm.close()


async def test_a_local_server_gets_max_tokens_and_openai_the_new_name(world: World) -> None:
    script = Script()
    llm = world.llm("openai", script)
    await llm.complete(ASK)
    assert script.requests[0]["max_tokens"] == ASK.max_tokens
    assert "max_completion_tokens" not in script.requests[0]
    await llm.close()


async def test_a_server_that_wants_the_new_name_of_the_token_limit_gets_it_from_then_on(world: World) -> None:
    refusal = {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}
    script = Script(failures=[(400, {}, refusal)])
    llm = asking_again(world.llm("openai", script))
    await llm.complete(ASK)
    await llm.complete(ASK)
    assert [sorted({"max_tokens", "max_completion_tokens"} & set(asked)) for asked in script.requests] == [
        ["max_tokens"],
        ["max_completion_tokens"],
        ["max_completion_tokens"],
    ]
    await llm.close()


async def test_an_answer_cut_off_before_its_first_word_is_an_error_not_an_empty_answer(world: World) -> None:
    llm = world.llm("openai", Script(text="", finish_reason="length"))
    with pytest.raises(CallerError, match="said nothing"):
        await llm.complete(ASK)
    await llm.close()


@pytest.mark.parametrize("kind", VENDORS)
async def test_example_turns_are_sent_as_they_are_and_two_inputs_share_all_before_them(kind: str, world: World) -> None:
    script = Script()
    llm = world.llm(kind, script)
    shown = (Message("user", "dull"), Message("assistant", "negative"))
    for text in ("I love it", "I hate it"):
        await llm.complete(Request((ASK.messages[0], *shown, Message("user", text))))
    first, second = (one["messages"] for one in script.requests)
    assert first[:-1] == second[:-1]
    assert [(one["role"], _text(one)) for one in second[-3:]] == [
        ("user", "dull"),
        ("assistant", "negative"),
        ("user", "I hate it"),
    ]
    if kind == "anthropic":
        # The last of the examples ends what is kept; the input itself is not worth keeping.
        assert first[-2]["content"][0]["cache_control"] == {"type": "ephemeral"}
        assert "cache_control" not in str(first[-1])
    await llm.close()


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


async def test_anthropic_sends_no_sampling_parameter_and_counts_cached_prompt_tokens(world: World) -> None:
    script = Script()
    llm = world.llm("anthropic", script)
    reply = await llm.complete(ASK)
    assert not {"temperature", "top_p", "top_k"} & set(script.requests[0])
    assert [message["role"] for message in script.requests[0]["messages"]] == ["user"]
    assert reply.prompt_tokens == 7
    await llm.close()


CLIENTS: list[Callable[[str], Any]] = [
    lambda url: openai.AsyncOpenAI(api_key="k", base_url=url),
    lambda url: openai.OpenAI(api_key="k", base_url=url),
    lambda url: anthropic.AsyncAnthropic(api_key="k", base_url=url.removesuffix("/v1")),
    lambda url: anthropic.Anthropic(api_key="k", base_url=url.removesuffix("/v1")),
]


@pytest.mark.parametrize("make", CLIENTS, ids=["AsyncOpenAI", "OpenAI", "AsyncAnthropic", "Anthropic"])
async def test_clients_of_the_sdks_are_wrapped_and_stay_open(make: Callable[[str], Any]) -> None:
    name = "claude-haiku-5-5"
    with serving(Script(known_model=name)) as url:
        client = make(url)
        llm = wrap(client, name)
        assert (await llm.complete(ASK)).text == "positive"
        await llm.close()
        assert not client.is_closed()
        closed = client.close()
        if closed is not None:
            await closed


def test_a_port_is_wrapped_as_it_is_and_other_things_are_refused() -> None:
    llm = ScriptedLLM(lambda request: "x")
    assert wrap(llm) is llm
    with pytest.raises(CallerError, match="dict"):
        wrap({})


def test_a_retired_or_unknown_model_is_refused_with_alternatives() -> None:
    with pytest.raises(UnknownModel, match=r"retired 'gpt-4'.*gpt-"):
        connect("openai", "gpt-4")
    with pytest.raises(UnknownModel, match="claude-haiku-5-5"):
        wrap(anthropic.AsyncAnthropic(api_key="k"), "claude-9")
    with pytest.raises(ConfigurationError, match="there are anthropic, openai, local"):
        connect("nobody")
    assert current_model("openai", None) == current_model("openai", "gpt-5.4-mini")


async def test_anthropic_keeps_everything_before_the_last_turn_and_the_ledger_knows_what_that_costs(
    world: World,
) -> None:
    example = (Message("user", "awful"), Message("assistant", "negative"))
    script = Script(known_model="claude-haiku-5-5")
    llm, ledger = world.llm("anthropic", script, model="claude-haiku-5-5"), Ledger(Caps(money_usd=1.0))
    await metered(llm, ledger).complete(Request((ASK.messages[0], *example, ASK.messages[1])))
    asked = script.requests[0]
    kept = {"type": "ephemeral"}
    assert asked["system"][0]["cache_control"] == kept
    assert [turn["role"] for turn in asked["messages"]] == ["user", "assistant", "user"]
    assert asked["messages"][1]["content"] == [{"type": "text", "text": "negative", "cache_control": kept}]
    assert [asked["messages"][n]["content"] for n in (0, 2)] == ["awful", "I love it"]
    # Of seven prompt tokens two were written to the cache, a quarter dearer; two more were said.
    assert ledger.spent.money_usd == pytest.approx((7.5 * 0.10 + 2 * 0.50) / 1e6)
    await llm.close()


def test_no_default_model_has_an_end_that_is_known() -> None:
    for provider, name in DEFAULTS.items():
        assert MODELS[provider][name].retires is None
