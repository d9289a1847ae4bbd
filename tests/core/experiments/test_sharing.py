"""Cells that come to the same question at the same time pay it once, whoever fails, dies or never answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from meta_learning.errors import LLMUnavailable
from meta_learning.experiments.sharing import SharedReplies
from meta_learning.llm import Message, Reply, Request
from meta_learning.llm.cache import FileCache
from meta_learning.llm.scripted import ScriptedLLM
from tests.mourning import ends_with_us

SHARED = Path(__file__).parents[3] / "shared"
# Takes the claim of the question, says so, and never answers.
HOLD = """
import sys, time
from pathlib import Path
from meta_learning.experiments.sharing import _claimed
with _claimed(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


class Slow(ScriptedLLM):
    """Takes its time, or what ``before`` does."""

    def __init__(self, before: Callable[[Request], None] = lambda request: None) -> None:
        super().__init__(lambda request: f"about {request.messages[0].text}")
        self._before = before

    async def complete(self, request: Request) -> Reply:
        await asyncio.sleep(0.02)
        self._before(request)
        return await super().complete(request)


def question(number: int) -> Request:
    return Request((Message("user", f"question {number}"),))


async def test_two_that_ask_the_same_at_the_same_time_pay_once_and_are_both_answered(tmp_path: Path) -> None:
    models = [Slow(), Slow()]
    one, other = (SharedReplies(llm, FileCache(tmp_path)) for llm in models)
    replies = await asyncio.gather(*(llm.complete(question(n)) for n in range(20) for llm in (one, other)))
    assert [reply.text for reply in replies[::2]] == [reply.text for reply in replies[1::2]]
    assert not any(reply.cached for reply in replies)
    assert sum(len(llm.requests) for llm in models) == 20
    assert one.saved_count + other.saved_count == 20
    assert not any((tmp_path / "claims").iterdir())


async def test_where_the_first_fails_the_next_one_asks(tmp_path: Path) -> None:
    def refuse(request: Request) -> None:
        raise LLMUnavailable("silent")

    one, other = SharedReplies(Slow(refuse), FileCache(tmp_path)), SharedReplies(Slow(), FileCache(tmp_path))
    first = asyncio.create_task(one.complete(question(0)))
    await asyncio.sleep(0.005)
    reply = await other.complete(question(0))
    with pytest.raises(LLMUnavailable):
        await first
    assert (reply.text, other.saved_count) == ("about question 0", 0)


async def test_nobody_waits_for_ever_for_somebody_elses_answer(tmp_path: Path) -> None:
    stuck, release = Slow(), asyncio.Event()
    stuck.complete = lambda request: release.wait()  # type: ignore[method-assign, assignment, return-value]
    one, other = SharedReplies(stuck, FileCache(tmp_path)), SharedReplies(Slow(), FileCache(tmp_path), wait_s=0.1)
    first = asyncio.create_task(one.complete(question(0)))
    await asyncio.sleep(0.005)
    assert (await other.complete(question(0))).text == "about question 0"
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_process_that_is_killed_leaves_its_question_to_the_others(tmp_path: Path) -> None:
    llm = Slow()
    claim = tmp_path / "claims" / question(0).digest(llm.provider, llm.model)
    program = [sys.executable, "-c", HOLD, str(claim)]
    holder = subprocess.Popen(program, env={"PYTHONPATH": str(SHARED)}, stdout=subprocess.PIPE)
    ends_with_us(holder.pid)
    try:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"True\n"
        waiting = asyncio.create_task(SharedReplies(llm, FileCache(tmp_path)).complete(question(0)))
        await asyncio.sleep(0.05)
        assert llm.requests == []
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
    async with asyncio.timeout(10):
        assert (await waiting).text == "about question 0"
