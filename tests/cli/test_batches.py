"""Large rungs as batches, from the command line to both vendors' batch endpoints (on loopback)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from typer.testing import CliRunner

from meta_learning.acla import AdaptiveCurriculumAgent
from meta_learning.cli import app
from meta_learning.errors import LLMUnavailable
from meta_learning.llm import Message, Reply, Request
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.batch_book import BatchBook, Intent
from meta_learning.llm.batch_port import Failed
from meta_learning.llm.batches import batches_of
from meta_learning.llm.batching import BatchingLLM, Terms
from meta_learning.llm.estimate import estimate
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.models import price_of
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.scripted import ScriptedBatches, ScriptedLLM
from meta_learning.serving.ending import end
from tests.contract.batch_server import BatchServer, serving
from tests.core.acla.simulated import config, samples, with_examples
from tests.core.acla.simulated import model as simulated_model
from tests.services.evolver.loopback import Model

PROMPT = "Say whether the text is good or bad. Answer with one word."
ITEMS = {
    f"text number {n} of a small collection": ("good", "bad")[hashlib.sha256(b"%d" % n).digest()[0] % 2]
    for n in range(130)
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps({"input": text, "expected": label}) + "\n" for text, label in ITEMS.items()))
    return path


def evolve(table: Path, provider: str, url: str, *more: str) -> Any:
    base = url if provider == "anthropic" else f"{url}/v1"
    model = "claude-haiku-5-5" if provider == "anthropic" else "any"
    server = ["--provider", provider, "--base-url", base, "--model", model, "--api-key", "none"]
    size = ["--samples", "60", "--gate-samples", "60", "--calls", "500", "--iterations", "4", "--no-cache", "--yes"]
    words = ["evolve", str(table), "--prompt", PROMPT, *server, *size, "--data-folder", str(table.parent / "data")]
    return CliRunner().invoke(app, [*words, *more])


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_large_rungs_go_out_as_batches_and_every_question_is_counted(table: Path, provider: str) -> None:
    server = BatchServer(Model(ITEMS))
    server.fails = frozenset({3})  # of the first batch: asked again
    with serving(server) as url:
        result = evolve(table, provider, url, "--batch")
    assert result.exit_code == 0, result.output
    assert "\nimproved:" in result.output, result.output
    assert len(server.batches) >= 3  # the seed's first items, and the gate's for two prompts
    assert min(map(len, server.batches)) >= 30
    [calls] = (table.parent / "data").rglob("calls.csv")
    rows = calls.read_text().splitlines()[1:]
    assert len(rows) == len(server.single) + sum(map(len, server.batches))
    assert sum("LLMUnavailable" in row for row in rows) == 1


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_run_that_was_killed_fetches_the_batch_that_it_paid_for(tmp_path: Path, provider: str) -> None:
    server, book = BatchServer(Model(ITEMS)), tmp_path / "batches.jsonl"
    server.done_at = 1_000_000
    requests = [Request((Message("system", PROMPT), Message("user", text))) for text in list(ITEMS)[:50]]

    async def life(url: str) -> list[Any]:
        kind = AnthropicLLM if provider == "anthropic" else OpenAILLM
        llm = kind("m", base_url=url if provider == "anthropic" else f"{url}/v1", api_key="none")
        batching = BatchingLLM(llm, batches_of(llm), BatchBook(book))
        try:
            return await asyncio.gather(*(batching.complete(request) for request in requests))
        finally:
            await batching.close()

    async def killed(url: str) -> None:
        task = asyncio.create_task(life(url))
        while not server.batches and not task.done():
            await asyncio.sleep(0.01)
        await end(task)

    with serving(server) as url:
        asyncio.run(killed(url))
        server.done_at = 0
        replies = asyncio.run(life(url))
    assert len(server.batches) == 1
    assert server.single == []
    asked = [{"role": "system", "content": PROMPT}]
    wanted = [server.model.answer([*asked, {"role": "user", "content": text}]) for text in list(ITEMS)[:50]]
    assert [reply.text for reply in replies] == wanted


def test_a_provider_without_batches_is_refused_in_one_line(table: Path) -> None:
    result = CliRunner().invoke(
        app, ["evolve", "sentiment140", "--batch", "--yes", "--data-folder", str(table.parent / "data")]
    )
    assert result.exit_code == 1
    assert "takes no batches" in result.output


def test_half_a_line_of_the_book_is_cut_off_before_the_next_batch_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "batches.jsonl"
    BatchBook(path).note("one", ["a"])
    with path.open("a") as file:
        file.write('{"batch": "tw')
    BatchBook(path).note("three", ["b"])
    book = BatchBook(path)
    assert (book.batch_of("a"), book.batch_of("b")) == ("one", "three")


async def test_an_answer_with_a_line_separator_in_it_is_read_whole() -> None:
    said = {"custom_id": "a", "response": {"status_code": 200, "body": {"said": "one\u2028two"}}}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/content"):
            return httpx.Response(200, text=json.dumps(said, ensure_ascii=False) + "\n")
        batch = {"id": "b", "object": "batch", "status": "completed", "output_file_id": "f"}
        return httpx.Response(200, json=batch)

    client: Any = httpx.AsyncClient(transport=httpx.MockTransport(answer))  # the SDK may come with another httpx
    vendor = openai.AsyncOpenAI(api_key="none", base_url="http://batches.test/v1", http_client=client)
    answers = await batches_of(OpenAILLM("m", client=vendor)).answers("b")
    assert answers == {"a": said}
    await vendor.close()


def questions(count: int) -> list[Request]:
    return [Request((Message("system", PROMPT), Message("user", text))) for text in list(ITEMS)[:count]]


def adapter(provider: str, url: str) -> AnthropicLLM | OpenAILLM:
    if provider == "anthropic":
        return AnthropicLLM("m", base_url=url, api_key="none")
    return OpenAILLM("m", base_url=f"{url}/v1", api_key="none")


async def asked_all(llm: Any, requests: list[Request]) -> list[Any]:
    return await asyncio.gather(*(llm.complete(request) for request in requests), return_exceptions=True)


REASONS = [
    ("token_limit_exceeded", "Enqueued token limit reached for m. Please try again later.", 2),
    ("rate_limit_exceeded", "Rate limit reached.", 2),
    ("model_not_found", "The model m does not exist or takes no batches.", 1),
    ("too_many_tasks", "The batch has too many tasks.", 1),
]


@pytest.mark.parametrize(("code", "message", "batches_count"), REASONS)
async def test_a_batch_that_fails_as_a_whole_costs_no_question_its_answer(
    code: str, message: str, batches_count: int
) -> None:
    server = BatchServer(Model(ITEMS))
    server.refuses = {"code": code, "message": message, "line": None, "param": None}
    with serving(server) as url:
        llm = adapter("openai", url)
        batching = BatchingLLM(llm, batches_of(llm), BatchBook())
        replies = await asked_all(batching, questions(50)) + await asked_all(batching, questions(100)[50:])
        await batching.close()
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == [
        server.model.answer([{"role": "system", "content": PROMPT}, {"role": "user", "content": text}])
        for text in list(ITEMS)[:100]
    ]
    assert len(server.single) == 100
    # Another batch may be taken after a reason that passes, and only then.
    assert len(server.batches) == batches_count


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_a_batch_whose_taking_nobody_heard_of_is_found_and_not_paid_twice(tmp_path: Path, provider: str) -> None:
    server, book = BatchServer(Model(ITEMS)), tmp_path / "batches.jsonl"
    server.loses_the_answer = True
    with serving(server) as url:
        first = adapter(provider, url)
        batching = BatchingLLM(first, batches_of(first), BatchBook(book))
        assert {type(one) for one in await asked_all(batching, questions(50))} == {LLMUnavailable}
        await batching.close()
        assert '"batch"' not in book.read_text()
        server.loses_the_answer = False
        second = adapter(provider, url)
        batching = BatchingLLM(second, batches_of(second), BatchBook(book))
        replies = await asked_all(batching, questions(50))
        await batching.close()
    assert all(isinstance(reply, Reply) and reply.batched for reply in replies)
    assert len(server.batches) == 1
    assert server.single == []


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_a_batch_that_the_vendor_lists_late_is_waited_for(tmp_path: Path, provider: str) -> None:
    server, book = BatchServer(Model(ITEMS)), tmp_path / "batches.jsonl"
    server.loses_the_answer = True
    with serving(server) as url:

        async def life(terms: Terms) -> list[Any]:
            llm = adapter(provider, url)
            batching = BatchingLLM(llm, batches_of(llm), BatchBook(book), terms)
            replies = await asked_all(batching, questions(50))
            await batching.close()
            return replies

        await life(Terms())
        server.loses_the_answer, server.empty_lists, server.done_at = False, 1, 2
        replies = await life(Terms(settle_s=2.0))
    assert all(isinstance(reply, Reply) and reply.batched for reply in replies)
    assert len(server.batches) == 1
    assert server.single == []


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_a_sending_that_never_arrived_goes_out_once(tmp_path: Path, provider: str) -> None:
    server, book = BatchServer(Model(ITEMS)), BatchBook(tmp_path / "batches.jsonl")
    requests = questions(50)
    book.intend(Intent("lost", 0.0, tuple(one.digest(provider, "m") for one in requests)))
    with serving(server) as url:
        llm = adapter(provider, url)
        batching = BatchingLLM(llm, batches_of(llm), book)
        replies = await asked_all(batching, requests)
        await batching.close()
    assert all(isinstance(reply, Reply) for reply in replies)
    assert list(map(len, server.batches)) == [50]


@pytest.mark.parametrize("is_asked_the_same", [False, True])
async def test_another_programs_batch_of_the_same_size_is_not_taken_for_ones_own(
    tmp_path: Path, is_asked_the_same: bool
) -> None:
    server, book = BatchServer(Model(ITEMS)), BatchBook()
    server.done_at = 2  # while it goes on nobody sees whose it is
    requests = questions(50)
    others = requests if is_asked_the_same else questions(100)[50:]
    with serving(server) as url:
        llm = adapter("anthropic", url)
        await batches_of(llm).submit("theirs", {one.digest("anthropic", "m"): one for one in others})
        book.intend(Intent("lost", time.time(), tuple(one.digest("anthropic", "m") for one in requests)))
        batching = BatchingLLM(llm, batches_of(llm), book, Terms(settle_s=0.0))
        replies = await asked_all(batching, requests)
        await batching.close()
    assert all(isinstance(reply, Reply) and reply.batched for reply in replies)
    assert len(server.batches) == 2
    assert server.cancelled == set()


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_two_runs_with_the_same_questions_each_find_their_own_batch(tmp_path: Path, provider: str) -> None:
    server = BatchServer(Model(ITEMS))
    books = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    server.loses_the_answer = True
    with serving(server) as url:

        async def life(book: Path) -> list[Any]:
            llm = adapter(provider, url)
            batching = BatchingLLM(llm, batches_of(llm), BatchBook(book))
            replies = await asked_all(batching, questions(50))
            await batching.close()
            return replies

        for book in books:
            await life(book)
        server.loses_the_answer = False
        for book in reversed(books):  # the later one first: the earlier batch must not be its own
            assert all(isinstance(reply, Reply) and reply.batched for reply in await life(book))
    digest = questions(1)[0].digest(provider, "m")
    assert [BatchBook(book).batch_of(digest) for book in books] == ["0", "1"]
    assert len(server.batches) == 2
    assert server.single == []


async def test_a_batch_that_may_be_another_programs_is_neither_called_off_nor_paid_for_again(tmp_path: Path) -> None:
    server, book = BatchServer(Model(ITEMS)), tmp_path / "batches.jsonl"
    server.done_at, server.loses_the_answer = 1_000_000, True
    with serving(server) as url:

        async def life() -> set[type]:
            llm = adapter("anthropic", url)
            batching = BatchingLLM(llm, batches_of(llm), BatchBook(book), Terms(wait_s_max=0.1))
            said = await asked_all(batching, questions(50)) + await asked_all(batching, questions(50))
            await batching.close()
            return {type(one) for one in said}

        assert await life() == {LLMUnavailable}  # nobody heard that it was taken
        server.loses_the_answer = False
        assert await life() == {LLMUnavailable}  # nobody can see yet whose it is
        assert server.cancelled == set()
        server.done_at = 0
        assert await life() == {Reply}
    assert len(server.batches) == 1
    assert server.single == []


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_a_batch_that_does_not_come_in_time_is_called_off_and_the_rest_is_asked_directly(provider: str) -> None:
    server = BatchServer(Model(ITEMS))
    server.done_at = 1_000_000
    with serving(server) as url:
        llm = adapter(provider, url)
        batching = BatchingLLM(llm, batches_of(llm), BatchBook(), Terms(wait_s_max=0.1))
        replies = await asked_all(batching, questions(50))
        await batching.close()
    assert server.cancelled == {"0"}
    assert sum(isinstance(reply, Reply) and reply.batched for reply in replies) == 25
    assert sum(isinstance(reply, Reply) and not reply.batched for reply in replies) == len(server.single) == 25


async def test_a_sending_that_was_refused_is_asked_directly_and_not_looked_for() -> None:
    class Full(ScriptedBatches):
        async def submit(self, name: str, requests: Any) -> str | Failed:
            return Failed("too many batches", passing=True)

        async def find(self, intent: Intent, known: Any) -> str | None:
            raise AssertionError("nothing was taken")

    llm = BatchingLLM(ScriptedLLM(lambda request: "no"), Full(lambda request: "yes"), BatchBook(), Terms(count_min=1))
    replies = await asked_all(llm, questions(3)) + await asked_all(llm, questions(3))
    assert {reply.text for reply in replies if isinstance(reply, Reply)} == {"no"}


async def test_a_batched_question_is_reserved_at_the_price_of_a_call_and_paid_at_that_of_a_batch() -> None:
    server = BatchServer(Model(ITEMS))
    with serving(server) as url:
        llm = AnthropicLLM("claude-haiku-5-5", base_url=url, api_key="none")
        batching, ledger = BatchingLLM(llm, batches_of(llm), BatchBook()), Ledger(Caps(money_usd=1.0))
        await asked_all(metered(batching, ledger), questions(50))
        await batching.close()
    one_usd = (9 * 0.10 + 1 * 0.50) / 1e6  # the loopback's nine tokens in, one out, as single calls
    assert ledger.spent.money_usd == pytest.approx(50 * one_usd / 2)
    assert ledger.largest.money_usd > one_usd
    alone = estimate(100, 400, 8, price_of("anthropic", llm.model))
    guess = alone.in_batches(price_of("anthropic", llm.model))
    assert guess.money_low_usd == pytest.approx((alone.money_low_usd or 0.0) / 2)
    assert guess.money_high_usd == alone.money_high_usd


async def test_a_run_within_seconds_comes_to_its_decision_though_no_batch_comes_back() -> None:
    model, seconds = simulated_model(with_examples), 6.0
    batches = ScriptedBatches(model.answer, polls_count=1_000_000)
    llm = BatchingLLM(model, batches, BatchBook(), Terms.within(seconds))
    settings = config(seconds_max=seconds, gate_samples=60, max_iterations=30, min_performance_threshold=1.0)
    results = await AdaptiveCurriculumAgent(settings, llm, run_id="r").run_curriculum(samples, num_samples=100)
    assert batches.cancelled
    # On a busy machine the search may find nobody in its half of the time; it must not come too late for the decision.
    if results["gate"] is None:
        assert "no candidate" in results["reason"]
    else:
        assert results["gate"]["finalists"][0]["pairs_count"] == 60


def test_how_long_a_batch_may_take_is_said_before_anything_is_spent(table: Path) -> None:
    asked = ["evolve", str(table), "--prompt", PROMPT, "--provider", "openai", "--model", "m", "--base-url", "http://x"]
    said = CliRunner().invoke(app, [*asked, "--batch", "--seconds", "600", "--data-folder", str(table.parent / "data")])
    assert said.exit_code == 4
    assert "called off after 100 s each" in said.output
