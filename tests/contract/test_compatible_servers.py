"""Servers that speak OpenAI's protocol each in their own way: vLLM, llama.cpp, llama-cpp-python, Ollama, Cohere."""

from __future__ import annotations

from typing import Any

import pytest

from meta_learning.errors import UnknownModel
from meta_learning.llm import Message, Request, connect
from meta_learning.llm.openai import OpenAILLM
from tests.contract.asking import asking_again
from tests.contract.llm_servers import Script, serving

ASK = Request((Message("system", "Is it negative or positive? Answer with one word."), Message("user", "I love it")))
LABELLED = Request(ASK.messages, max_tokens=1, labels=("negative", "positive"))

# What servers that speak OpenAI's protocol answer besides a plain reply, as their projects' pages and issues show it.
WILD: dict[str, tuple[dict[str, Any] | None, dict[str, float] | None]] = {
    "vllm": (
        {
            "content": [
                {
                    "token": "pos",
                    "logprob": -0.1,
                    "bytes": [112, 111, 115],
                    "top_logprobs": [
                        {"token": "pos", "logprob": -0.1, "bytes": [112, 111, 115]},
                        {"token": "neg", "logprob": -2.5, "bytes": [110, 101, 103]},
                        {"token": "", "logprob": -9999.0, "bytes": []},
                    ],
                },
                {"token": "", "logprob": -9999.0, "bytes": [], "top_logprobs": []},
            ]
        },
        {"negative": -2.5, "positive": -0.1},
    ),
    "llama.cpp": (
        {
            "content": [
                {
                    "id": 1066,
                    "token": " negative",
                    "bytes": [32],
                    "logprob": -0.25,
                    "top_logprobs": [
                        {"id": 1066, "token": " negative", "bytes": [32], "logprob": -0.25},
                        {"id": 7, "token": "The", "bytes": [84], "logprob": -3.0},
                        {"id": 8, "token": "<|x|>", "bytes": [], "logprob": -3.4028234663852886e38},
                    ],
                }
            ]
        },
        {"negative": -0.25, "positive": -3.0},
    ),
    "llama-cpp-python": (
        {
            "tokens": ["positive"],
            "text_offset": [0],
            "token_logprobs": [-0.2],
            "top_logprobs": [{"positive": -0.2, "negative": -1.7}],
        },
        {"negative": -1.7, "positive": -0.2},
    ),
    "ollama": (None, None),
    "cohere": (None, None),
}


@pytest.mark.parametrize("server", WILD)
async def test_the_forms_that_servers_give_log_probabilities_in_are_read(server: str) -> None:
    logprobs, wanted = WILD[server]
    with serving(Script(extra_choice={} if logprobs is None else {"logprobs": logprobs})) as url:
        llm = OpenAILLM("known", base_url=url)
        reply = await llm.complete(LABELLED)
        await llm.close()
    assert reply.text == "positive"
    assert reply.label_logprobs == (None if wanted is None else pytest.approx(wanted))


async def test_coheres_compatibility_endpoint_answers_though_it_refuses_what_it_does_not_know() -> None:
    # It is asked with its own key at an address of its own, says "message" at the top of its errors, and counts as OpenAI does.
    refusal = {"id": "e", "message": "invalid request: unsupported parameter top_logprobs"}
    script = Script(failures=[(422, {}, refusal)], known_model="command-a-03-2025")
    with serving(script) as url:
        cohere = url.replace("/v1", "/compatibility/v1")
        llm = asking_again(connect("openai", "command-a-03-2025", base_url=cohere, api_key="coheres-key"))
        reply = await llm.complete(LABELLED)
        unknown = connect("openai", "command-9", base_url=cohere, api_key="coheres-key")
        with pytest.raises(UnknownModel, match="command-9"):
            await unknown.complete(ASK)
        await llm.close()
        await unknown.close()
    assert (reply.text, reply.prompt_tokens, reply.label_logprobs) == ("positive", 7, None)
    assert {one["authorization"] for one in script.headers} == {"Bearer coheres-key"}
    assert set(script.paths) == {"/compatibility/v1/chat/completions"}
    assert "max_tokens" in script.requests[-1]


async def test_a_server_that_gives_fewer_alternatives_is_asked_for_fewer() -> None:
    said = "Requested sample logprobs of 20, which is greater than max allowed: 5"
    script = Script(failures=[(400, {}, {"error": {"message": said}})], logprobs=[("pos", -0.2), ("neg", -1.8)])
    with serving(script) as url:
        llm = asking_again(OpenAILLM("known", base_url=url))
        assert (await llm.complete(LABELLED)).label_logprobs is not None
        await llm.complete(LABELLED)
        await llm.close()
    assert [asked["top_logprobs"] for asked in script.requests] == [20, 5, 5]
