"""What does it bring to compute what prompts begin with once, and do the decisions stay? A local model on Sentiment140.

    META_LEARNING_DATA_SETS=../shared/data OMP_NUM_THREADS=1 python -m benchmarks.models.llm_prefixes [calls] [model] [examples ...]

With and without, in turns, in one process: calls a CPU-second and a second for the label alone (1 token) and for texts of 8, 32 at
once. Each turn begins with nothing kept. The instruction and the examples are the first of shuffle 0, before any look.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import streams
from meta_learning.llm import Message, Reply, Request
from meta_learning.llm.batched.prefixes import SHARED_MIN, Prefixes
from meta_learning.llm.batched.provider import TransformersLLM

INSTRUCTION = "Classify the sentiment of the tweet. Answer with one word: positive or negative."
LABELS = ("negative", "positive")
AT_ONCE, TURNS = 32, 2


def requests(count: int, shots_count: int, tokens_max: int) -> list[Request]:
    rows = streams.tweets(20_000)
    random.Random(0).shuffle(rows)
    shots = [turn for text, liked in rows[:shots_count] for turn in turns(text, LABELS[liked])]
    head = (Message("system", INSTRUCTION), *shots)
    return [
        Request((*head, Message("user", text)), max_tokens=tokens_max, labels=LABELS)
        for text, _ in rows[shots_count : shots_count + count]
    ]


def turns(text: str, label: str) -> tuple[Message, Message]:
    return Message("user", text), Message("assistant", label)


async def answers(llm: TransformersLLM, asked: Sequence[Request]) -> list[Reply]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(request: Request) -> Reply:
        async with places:
            return await llm.complete(request)

    return await asyncio.gather(*(one(request) for request in asked))


async def timed(llm: TransformersLLM, asked: Sequence[Request]) -> tuple[list[Reply], float, float]:
    """The replies, CPU-seconds and seconds, from nothing kept."""
    assert llm._decoder is not None
    llm._decoder._prefixes = Prefixes()
    wall, cpu = time.perf_counter(), time.process_time()
    replies = await answers(llm, asked)
    return replies, time.process_time() - cpu, time.perf_counter() - wall


def margin(reply: Reply) -> float:
    assert reply.label_logprobs is not None
    return reply.label_logprobs["positive"] - reply.label_logprobs["negative"]


async def compared(llm: TransformersLLM, asked: Sequence[Request]) -> None:
    assert llm._decoder is not None
    spent: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    said: dict[bool, list[Reply]] = {}
    for shared in (True, False) * TURNS:
        llm._shared_min = llm._decoder._shared_min = SHARED_MIN if shared else None
        said[shared], cpu, wall = await timed(llm, asked)
        spent[shared].append((cpu, wall))
    told(said[True], said[False], *(rates(spent[shared], len(asked)) for shared in (True, False)))


def rates(spent: list[tuple[float, float]], count: int) -> tuple[float, float]:
    """Calls a CPU-second and a second, in the better of the turns."""
    return count / min(cpu for cpu, _ in spent), count / min(wall for _, wall in spent)


def told(ours: list[Reply], plain: list[Reply], fast: tuple[float, float], slow: tuple[float, float]) -> None:
    count, pairs = len(ours), list(zip(ours, plain, strict=True))
    apart = sorted(abs(margin(one) - margin(other)) for one, other in pairs)
    print(
        f"{sum(one.prompt_tokens for one in ours) / count:4.0f} tokens, at most {max(one.completion_tokens for one in ours)} said: "
        f"{fast[0]:5.1f} against {slow[0]:5.1f} calls/CPU-s ({fast[0] / slow[0]:.2f} times), "
        f"{fast[1]:5.1f} against {slow[1]:5.1f} calls/s; same label "
        f"{sum((margin(one) > 0) == (margin(other) > 0) for one, other in pairs)} of {count}, same text "
        f"{sum(one.text == other.text for one, other in pairs)}, positive {sum(margin(one) > 0 for one in ours)}; "
        f"margins apart: median {apart[count // 2]:.3f}, most {apart[-1]:.3f}",
        flush=True,
    )


async def main(count: int, model: str | None, shots: list[int]) -> None:
    llm = TransformersLLM(Path(model) if model else None, threads_count=1)
    await llm.complete(requests(1, 0, 1)[0])
    for shots_count in shots:
        asked = requests(count, shots_count, 1)
        for tokens_max in (1, 8):
            print(f"{shots_count} examples", end=", ")
            await compared(llm, [replace(one, max_tokens=tokens_max) for one in asked])
    await llm.close()


if __name__ == "__main__":
    asyncio.run(
        main(
            int((sys.argv[1:] or ["100"])[0]), (sys.argv[2:] or [""])[0] or None, [*map(int, sys.argv[3:])] or [0, 4, 8]
        )
    )
