"""What do batches in PyTorch bring over one call after another in llama.cpp, and do they say the same? SmolLM2 on Sentiment140.

    META_LEARNING_DATA_SETS=../shared/data OMP_NUM_THREADS=1 python -m benchmarks.models.llm_batches [tweets] [zero|few ...]

Calls and tokens a second (wall and CPU) at 1, 8 and 32 calls at a time, one thread each; agreement of decisions and AUC; flips of the
decision between compositions of the batch. The instruction and the 8 examples are the first of shuffle 0, before any look.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Sequence

from sklearn.metrics import roc_auc_score

from benchmarks import streams
from meta_learning.llm import LLM, Message, Reply, Request
from meta_learning.llm.batched.provider import TransformersLLM
from meta_learning.llm.local import LocalLLM

INSTRUCTION = "Classify the sentiment of the tweet. Answer with one word: positive or negative."
LABELS = ("negative", "positive")
SHOTS_COUNT = 8


def requests(count: int, few_shot: bool) -> tuple[list[Request], list[bool]]:
    rows = streams.tweets(20_000)
    random.Random(0).shuffle(rows)
    shots = [
        message
        for text, liked in rows[:SHOTS_COUNT]
        for message in (Message("user", text), Message("assistant", LABELS[liked]))
    ]
    head = (Message("system", INSTRUCTION), *(shots if few_shot else ()))
    asked = rows[SHOTS_COUNT : SHOTS_COUNT + count]
    questions = [Request((*head, Message("user", text)), max_tokens=1, labels=LABELS) for text, _ in asked]
    return questions, [liked for _, liked in asked]


async def answers(llm: LLM, asked: Sequence[Request], at_once: int) -> list[Reply]:
    places = asyncio.Semaphore(at_once)

    async def one(request: Request) -> Reply:
        async with places:
            return await llm.complete(request)

    return await asyncio.gather(*(one(request) for request in asked))


def margin(reply: Reply) -> float:
    assert reply.label_logprobs is not None
    return reply.label_logprobs["positive"] - reply.label_logprobs["negative"]


async def measured(name: str, llm: LLM, asked: Sequence[Request], liked: list[bool], at_once: int) -> list[float]:
    wall, cpu = time.perf_counter(), time.process_time()
    replies = await answers(llm, asked, at_once)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tokens, count = sum(reply.prompt_tokens for reply in replies), len(asked)
    margins = [margin(reply) for reply in replies]
    print(
        f"{name:>12} at once {at_once:>2}: {count / wall:5.1f} calls/s, {count / cpu:5.1f} calls/CPU-s, {tokens / wall:6.0f} tokens/s,"
        f" {tokens / cpu:6.0f} tokens/CPU-s, {tokens / count:.0f} tokens a call, AUC {roc_auc_score(liked, margins):.3f},"
        f" said positive {sum(one > 0 for one in margins) / count:.3f}",
        flush=True,
    )
    return margins


def compared(name: str, one: list[float], other: list[float]) -> None:
    flips = sum((a > 0) != (b > 0) for a, b in zip(one, other, strict=True))
    apart = sorted(abs(a - b) for a, b in zip(one, other, strict=True))
    print(
        f"{name}: {flips} of {len(one)} decisions differ; margins apart: median {apart[len(apart) // 2]:.3f}, most {apart[-1]:.3f}"
    )


async def main(count: int, kinds: list[str]) -> None:
    warm = [Request((Message("user", "hello"),), max_tokens=1)]
    batched, local = TransformersLLM(threads_count=1), LocalLLM(threads_count=1)
    await answers(batched, warm, 1)
    await answers(local, warm, 1)
    for kind in kinds:
        asked, liked = requests(count, kind == "few")
        print(kind, flush=True)
        theirs = await measured("local", local, asked, liked, 1)
        ours = {at_once: await measured("transformers", batched, asked, liked, at_once) for at_once in (32, 8, 1)}
        order = random.Random(1).sample(range(count), count)
        shuffled = await measured("shuffled", batched, [asked[n] for n in order], [liked[n] for n in order], 32)
        again = [shuffled[order.index(number)] for number in range(count)]
        compared("transformers 32 and local", ours[32], theirs)
        compared("32 and 1 at once", ours[32], ours[1])
        compared("32 and 8 at once", ours[32], ours[8])
        compared("32 and 32 in another order", ours[32], again)
    await batched.close()
    await local.close()


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:] or ["200"])[0]), sys.argv[2:] or ["zero", "few"]))
