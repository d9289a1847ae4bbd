"""The server of the comparisons: one model for all arms, every call on somebody's meter, answers that repeat."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from benchmarks.llm_server.application import application
from benchmarks.llm_server.records import OtherModel, Records
from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable
from meta_learning.llm import LLM, Message, Reply, Request, wrap
from meta_learning.llm.batched.provider import RankedReply
from meta_learning.llm.scripted import ScriptedLLM

FIRST = (("negative", -0.3), ("positive", -1.4), ("The", -5.0))
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "two words"}], "max_tokens": 4, "temperature": 0}


class Ranking(ScriptedLLM):
    """A scripted model that also says its first tokens, as the batched provider does."""

    async def complete_ranked(self, request: Request, ranked_count: int) -> RankedReply:
        return RankedReply(await self.complete(request), FIRST[:ranked_count], ended=True)


def counting(model: str = "scripted") -> Ranking:
    """Every answer differs from the one before, as no recording does."""
    llm = Ranking(lambda request: f"{request.sample} {len(llm.requests)}", model=model)
    return llm


@contextlib.asynccontextmanager
async def serving(llm: LLM | None, file: Path | str = ":memory:") -> AsyncIterator[httpx.AsyncClient]:
    records = Records(file, None if llm is None else llm.model)
    transport = httpx.ASGITransport(application(llm, records))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield client
    finally:
        records.close()


async def ask(client: httpx.AsyncClient, tag: str = "arm", purpose: str | None = None, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {tag}"} | ({} if purpose is None else {"x-purpose": purpose})
    return await client.post("/v1/chat/completions", json=ASK | more, headers=headers)


def said(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [choice["message"]["content"] for choice in response.json()["choices"]]


async def test_every_call_is_on_its_tags_meter_by_purpose() -> None:
    async with serving(counting()) as client:
        await ask(client)
        await ask(client, max_tokens=None, max_completion_tokens=200)
        await ask(client, purpose="proposer")
        await ask(client, tag="other")
        arm, untagged = [(await client.get("/meter", params={"tag": tag})).json() for tag in ("arm", "untagged")]
        assert (arm["calls"], arm["prompt_tokens"], arm["completion_tokens"], arm["cached"]) == (3, 6, 6, 1)
        assert {purpose: sums["calls"] for purpose, sums in arm["purposes"].items()} == {"task": 1, "proposer": 2}
        assert untagged["calls"] == 0
        assert [one["tag"] for one in (await client.get("/meter")).json()["tags"]] == ["arm", "other"]
        assert (await client.delete("/meter", params={"tag": "arm"})).json()["calls"] == 0


async def test_a_call_beyond_the_cap_is_refused_so_that_no_sdk_tries_again() -> None:
    model = counting()
    async with serving(model) as client:
        assert (await client.post("/caps", json={"arm": 2})).json() == {"arm": 2}
        assert (await ask(client)).status_code == (await ask(client)).status_code == 200
        refused = await ask(client)
        assert refused.status_code == 429
        assert refused.json()["error"]["type"] == "insufficient_quota"
        assert refused.headers["x-should-retry"] == "false"
        assert (await client.get("/meter", params={"tag": "arm"})).json()["calls"] == 2
        assert (await ask(client, tag="other")).status_code == 200
        await client.post("/caps", json={"arm": None})
        assert (await ask(client)).status_code == 200


async def test_calls_at_the_same_time_cannot_pass_the_cap_together() -> None:
    async with serving(counting()) as client:
        await client.post("/caps", json={"arm": 3})
        asked = [ask(client, messages=[{"role": "user", "content": str(number)}]) for number in range(8)]
        statuses = [response.status_code for response in await asyncio.gather(*asked)]
        assert sorted(statuses) == [200] * 3 + [429] * 5
        assert (await ask(client, n=2)).status_code == 429


async def test_what_was_said_once_is_said_again_to_everyone_and_counted_as_a_call() -> None:
    model = counting()
    async with serving(model) as client:
        answers = await asyncio.gather(ask(client), ask(client), ask(client, tag="other"))
        assert {said(answer)[0] for answer in answers} == {"0 1"}
        assert len(model.requests) == 1
        meter = (await client.get("/meter", params={"tag": "arm"})).json()
        assert (meter["calls"], meter["cached"]) == (2, 1)


async def test_seeded_samples_repeat_and_unseeded_ones_are_new_within_a_run_and_repeat_in_the_next(
    tmp_path: Path,
) -> None:
    runs = []
    for _ in range(2):
        async with serving(counting(), tmp_path / "file") as client:
            seeded = [said(await ask(client, temperature=1, seed=seed, n=2)) for seed in (7, 7, 8)]
            free = [said(await ask(client, temperature=1)) for _ in range(3)]
            free += [said(await ask(client, tag="other", temperature=1))]
        runs.append((seeded, free))
    (seeded, free), again = runs
    assert seeded[0] == seeded[1] != seeded[2]
    assert len(set(seeded[0])) == 2
    assert len({one[0] for one in free}) == 4
    assert again == (seeded, free)


async def test_first_tokens_come_with_the_answer_and_may_be_asked_for_later() -> None:
    async with serving(counting()) as client:
        plain = said(await ask(client))
        response = await ask(client, logprobs=True, top_logprobs=2)
        assert said(response) == plain
        [first] = response.json()["choices"][0]["logprobs"]["content"]
        assert [(one["token"], one["logprob"]) for one in first["top_logprobs"]] == list(FIRST[:2])


async def test_only_recordings_answer_in_a_replay_and_what_they_lack_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    async with serving(counting(), file) as client:
        recorded = said(await ask(client))
    async with serving(None, file) as client:
        assert said(await ask(client, tag="ci")) == recorded
        unknown = await ask(client, messages=[{"role": "user", "content": "never asked"}])
        assert unknown.status_code == 404
        assert unknown.json()["error"]["type"] == "not_recorded"
        assert (await client.get("/meter", params={"tag": "ci"})).json()["calls"] == 1
        assert (await client.get("/v1/models")).json()["data"][0]["id"] == "scripted"
    with pytest.raises(OtherModel, match="scripted"):
        Records(file, "another")


@pytest.mark.parametrize(
    ("more", "field"),
    [({"stream": True}, "stream"), ({"messages": []}, "messages"), ({"max_tokens": 0}, "max_tokens")],
)
async def test_a_body_that_cannot_be_answered_is_refused_by_the_name_of_its_field(
    more: dict[str, Any], field: str
) -> None:
    async with serving(counting()) as client:
        refused = await ask(client, **more)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize(("error", "status"), [(CallerError("too long"), 400), (LLMUnavailable("down"), 503)])
async def test_a_call_that_the_model_refuses_is_no_call(error: Exception, status: int) -> None:
    async with serving(ScriptedLLM(lambda request: error)) as client:
        await client.post("/caps", json={"arm": 1})
        assert [(await ask(client)).status_code for _ in range(2)] == [status, status]
        assert (await client.get("/meter", params={"tag": "arm"})).json()["calls"] == 0


async def test_the_official_sdk_and_our_own_adapter_are_answered() -> None:
    async with serving(counting()) as http:
        client: Any = http  # the SDK names the type of a fork of httpx
        sdk = openai.AsyncOpenAI(api_key="arm:task:0:search", base_url="http://server/v1", http_client=client)
        parts: Any = [{"role": "user", "content": [{"type": "text", "text": "parts"}, {"type": "text", "text": "too"}]}]
        answer = await sdk.chat.completions.create(model="any", messages=parts, max_completion_tokens=3, temperature=0)
        assert answer.choices[0].message.content == "0 1"
        assert answer.usage is not None
        assert answer.usage.total_tokens == 3
        llm = wrap(sdk, "any")
        labelled = Request((Message("user", "hi"),), max_tokens=1, labels=("negative", "positive"))
        reply: Reply = await llm.complete(labelled)
        assert reply.label_logprobs == pytest.approx({"negative": -0.3, "positive": -1.4})
        await http.post("/caps", json={"arm:task:0:search": 2})
        with pytest.raises(ConfigurationError, match="spending limit"):
            await llm.complete(labelled)
        with pytest.raises(openai.RateLimitError):
            await sdk.chat.completions.create(model="any", messages=parts)
        assert (await http.get("/meter", params={"tag": "arm:task:0:search"})).json()["calls"] == 2
