"""Large rungs as batches, from the command line to both vendors' batch endpoints (on loopback)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.llm import Message, Request
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.batches import batches_of
from meta_learning.llm.batching import BatchBook, BatchingLLM
from meta_learning.llm.openai import OpenAILLM
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
def test_large_rungs_go_out_as_batches_and_the_run_ends_as_without(table: Path, provider: str) -> None:
    found = {}
    for more in ((), ("--batch",)):
        server = BatchServer(Model(ITEMS))
        server.fails = frozenset({3})  # of the first batch: asked again
        with serving(server) as url:
            result = evolve(table, provider, url, *more)
        assert result.exit_code == 0, result.output
        found[more] = (result.output.splitlines(), server)
    plain, batched = found[()][1], found[("--batch",)][1]
    ends = [next(line for line in lines if line.startswith("improved:")) for lines, _ in found.values()]
    assert ends[0] == ends[1]
    assert not plain.batches
    assert len(batched.batches) >= 3  # the seed's first items, and the gate's twice
    assert min(map(len, batched.batches)) >= 40
    in_batches = sum(map(len, batched.batches))
    assert len(batched.single) + in_batches == len(plain.single) + 1


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_run_that_was_killed_fetches_the_batch_that_it_paid_for(tmp_path: Path, provider: str) -> None:
    server = BatchServer(Model(ITEMS))
    server.done_at = 2
    requests = [Request((Message("system", PROMPT), Message("user", text))) for text in list(ITEMS)[:50]]

    async def life(url: str, wait_s: float | None) -> list[Any]:
        kind = AnthropicLLM if provider == "anthropic" else OpenAILLM
        llm = kind("m", base_url=url if provider == "anthropic" else f"{url}/v1", api_key="none")
        batching = BatchingLLM(llm, batches_of(llm), BatchBook(tmp_path / "batches.jsonl"))
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.gather(*(batching.complete(request) for request in requests))
        finally:
            await batching.close()

    with serving(server) as url:
        with pytest.raises(TimeoutError):
            asyncio.run(life(url, 0.4))
        assert len(server.batches) == 1
        replies = asyncio.run(life(url, None))
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
