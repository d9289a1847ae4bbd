"""What the model in this process promises beyond the port."""

from __future__ import annotations

import asyncio
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

from meta_learning.errors import CallerError, ConfigurationError, UnknownModel
from meta_learning.llm import Message, Request
from meta_learning.llm.local import LocalLLM
from tests.contract.asking import ASK, LABELLED, needs_local


@needs_local
async def test_the_local_model_scores_labels_frees_the_event_loop_and_writes_no_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    llm = LocalLLM(threads_count=1)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    reply = await llm.complete(LABELLED)
    ticking.cancel()
    await llm.close()
    assert reply.label_logprobs is not None
    assert set(reply.label_logprobs) == {"negative", "positive"}
    assert all(logprob < 0.0 for logprob in reply.label_logprobs.values())
    assert ticks > 5
    assert capfd.readouterr().err == ""
    with pytest.raises(CallerError, match="closed"):
        await llm.complete(ASK)


@needs_local
async def test_a_text_longer_than_the_local_context_is_the_callers_mistake() -> None:
    llm = LocalLLM(context_tokens=512, threads_count=1)
    with pytest.raises(CallerError, match="context"):
        await llm.complete(Request((Message("user", "word " * 2000),)))
    await llm.close()


@needs_local
async def test_a_file_that_holds_no_weights_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    llm = LocalLLM(file)
    with pytest.raises(ConfigurationError, match=r"broken\.gguf"):
        await llm.complete(ASK)
    await llm.close()


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ModuleNotFoundError("No module named 'xllamacpp'", name="xllamacpp"), "pip install xllamacpp"),
        (ImportError("libgomp.so.1: cannot open shared object file"), "apt-get install libgomp1"),
    ],
)
@needs_local
async def test_a_runtime_that_is_missing_or_does_not_load_is_named_with_advice(
    error: ImportError, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent(MetaPathFinder):
        def find_spec(self, fullname: str, *others: object) -> None:
            if fullname == "xllamacpp":
                raise error

    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    llm = LocalLLM()
    with pytest.raises(ConfigurationError, match=advice):
        await llm.complete(ASK)
    await llm.close()


def test_a_missing_file_of_weights_is_named() -> None:
    with pytest.raises(UnknownModel, match=r"nowhere\.gguf"):
        LocalLLM("nowhere.gguf")
