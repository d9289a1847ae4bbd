"""Large rungs as batches, from the command line to both vendors' batch endpoints (on loopback)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.errors import CallerError
from meta_learning.llm import Message, Request
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.batches import batches_of
from meta_learning.llm.batching import BatchBook, BatchingLLM
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.scripted import ScriptedBatches, ScriptedLLM
from meta_learning.serving.ending import end
from tests.contract.batch_server import BatchServer, serving
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
    size = ["--samples", "60", "--gate-samples", "60", "--calls", "500", "--iterations", "2", "--no-cache", "--yes"]
    words = ["evolve", str(table), "--prompt", PROMPT, *server, *size, "--data-folder", str(table.parent / "data")]
    return CliRunner().invoke(app, [*words, *more])


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_large_rungs_go_out_as_batches_and_every_question_is_counted(table: Path, provider: str) -> None:
    server = BatchServer(Model(ITEMS))
    server.fails = frozenset({3})  # of the first batch: asked again
    with serving(server) as url:
        result = evolve(table, provider, url, "--batch")
    assert result.exit_code == 0, result.output
    assert "\nimproved:" in result.output
    assert len(server.batches) >= 3  # the seed's first items, and the gate's for two prompts
    assert min(map(len, server.batches)) >= 40
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
        while not book.exists() and not task.done():
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


async def test_a_batch_that_was_refused_as_a_whole_is_not_asked_for_again() -> None:
    class Refused(ScriptedBatches):
        async def answers(self, batch_id: str) -> Any:
            raise CallerError("the batch was refused")

    book, request = BatchBook(), Request((Message("user", "hello"),))
    llm = BatchingLLM(ScriptedLLM(lambda request: "no"), Refused(lambda request: "yes"), book, count_min=1)
    with pytest.raises(CallerError):
        await llm.complete(request)
    assert book.batch_of(request.digest("scripted", "scripted")) is None


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
