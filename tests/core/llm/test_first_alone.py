"""Requests that wait for the first one with their parameters: what of them is counted, and what lets them go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from meta_learning.acla.asking import Asking
from meta_learning.acla.store import MemoryRunStore, RunLog
from meta_learning.errors import ConfigurationError
from meta_learning.llm import Message, Request
from meta_learning.llm.batching import Terms
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.retry import Retrying, RetryPolicy


class Server:
    """Answers after a moment; notes how many requests came, and how many at one time at most."""

    def __init__(self, answer: Callable[[], httpx.Response], takes_s: float = 0.02) -> None:
        self._answer, self._takes_s = answer, takes_s
        self.count = self.at_once = self.at_once_max = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count, self.at_once = self.count + 1, self.at_once + 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        await asyncio.sleep(self._takes_s)
        self.at_once -= 1
        return self._answer()


def asking_of(server: Server, store: MemoryRunStore) -> tuple[Asking, Ledger]:
    transport: Any = httpx.AsyncClient(transport=httpx.MockTransport(server))  # the SDK may come with another httpx
    client = openai.AsyncOpenAI(api_key="k", base_url="http://x/v1", http_client=transport)
    log, ledger = RunLog(store, "r", "openai"), Ledger(Caps())
    model = metered(OpenAILLM("m", client=client), ledger, log, Retrying(RetryPolicy(attempts_max=1)))
    return Asking(model, log, None, lambda: False), ledger


def questions(count: int) -> list[Request]:
    return [Request((Message("user", f"question {number}"),)) for number in range(count)]


def failed(store: MemoryRunStore) -> int:
    return sum(event["kind"] == "failed" for event in store.read("r"))


async def test_who_waits_for_the_first_request_is_not_counted_when_the_key_is_wrong() -> None:
    server, store = Server(lambda: httpx.Response(401, json={"error": {"message": "bad key"}})), MemoryRunStore()
    asking, ledger = asking_of(server, store)
    with pytest.raises(ConfigurationError):
        await asking.ask_all(questions(8))
    assert failed(store) <= server.count == ledger.spent.calls < 8


async def test_who_waits_for_the_first_request_is_not_counted_when_the_run_is_stopped() -> None:
    server, store = Server(lambda: httpx.Response(500), takes_s=60.0), MemoryRunStore()
    asking, ledger = asking_of(server, store)
    task = asyncio.create_task(asking.ask_all(questions(8)))
    while not server.count:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert server.count == ledger.spent.calls == failed(store) == 1


async def test_an_answer_without_a_word_settles_that_its_parameters_were_taken() -> None:
    silent = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": ""}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 50, "total_tokens": 55},
    }
    server = Server(lambda: httpx.Response(200, json=silent))
    asking, ledger = asking_of(server, MemoryRunStore())
    await asking.ask_all(questions(24))
    assert server.at_once_max > 1
    assert len(ledger.entries) == server.count == 24


def test_a_judged_run_waits_half_as_long_for_a_batch_since_each_prompt_waits_for_two() -> None:
    plain, judged = Terms.within(600.0), Terms.within(600.0, calls_each=2)
    assert plain.wait_s_max == 100.0
    assert judged.wait_s_max == 50.0
