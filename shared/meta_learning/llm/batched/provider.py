"""The port to language models over PyTorch: no server, no key, nothing leaves the machine, and many answers in one pass."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_learning.errors import MetaLearningError, UnknownModel
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.batched.decoding import Decoder
from meta_learning.llm.batched.prefixes import SHARED_MIN, families
from meta_learning.llm.batched.prompts import Row, row_of, text_of
from meta_learning.llm.batched.queue import BatchQueue, Waiting
from meta_learning.llm.batched.weights import Dtype, Weights, opened
from meta_learning.llm.guard import check_calls_allowed
from meta_learning.llm.local import PACKAGED, packaged_weights

# A pass with more tokens than this (padding counts) is cut in two: attention needs memory for each pair of them.
PASS_TOKENS_MAX = 16_384
# A machine is busy with so many rows: from there on a pass of its own for longer ones costs less than the padding it saves.
# Every further token of the answers is a pass again, so that long answers are worth more padding.
ROWS_BUSY, LONGER, LONGER_A_TOKEN = 8, 12, 4


@dataclass(frozen=True, slots=True)
class RankedReply:
    """A reply, the most probable first tokens of the whole vocabulary, and whether the model ended by itself or by a stop text."""

    reply: Reply
    first_tokens: tuple[tuple[str, float], ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class _Question:
    request: Request
    ranked_count: int
    asked_at: float


_Waiting = Waiting[_Question, RankedReply]


class TransformersLLM:
    """Answers with a model that PyTorch runs, on a GPU if there is one; weights are loaded by the first call.

    ``model``: None for the packaged SmolLM2, a GGUF file, or a folder in the Hugging Face layout. ``dtype`` "auto" is bfloat16
    where the machine multiplies it by tiles (AMX) and on a GPU, else float32. Up to ``batch_max`` requests that come within
    ``wait_ms`` of each other are answered in one pass; what their prompts begin with is computed once, if it is at least
    ``shared_min`` tokens (None: never), and kept for those that come later. In bfloat16 an answer can depend on its batch where
    two tokens are almost equally probable.
    """

    provider = "transformers"

    def __init__(
        self,
        model: str | Path | None = None,
        threads_count: int | None = None,
        dtype: Dtype = "auto",
        batch_max: int = 32,
        wait_ms: float = 5.0,
        shared_min: int | None = SHARED_MIN,
    ) -> None:
        packaged = model is None or str(model) == PACKAGED
        self._source = packaged_weights() if packaged else Path(str(model))
        if not self._source.exists():
            raise UnknownModel(f"no GGUF file and no folder at {self._source}; the packaged model is {PACKAGED!r}")
        self.model = PACKAGED if packaged else self._source.name
        self.capabilities = Capabilities(temperature=True, label_logprobs=True, concurrency_max=batch_max)
        self._dtype: Dtype = dtype
        self._threads_count = threads_count or max(1, (os.cpu_count() or 2) // 2)
        self._shared_min = shared_min
        self._weights: Weights | None = None
        self._decoder: Decoder | None = None
        self._answering: dict[Row, _Waiting] = {}
        self._queue: BatchQueue[_Question, RankedReply] = BatchQueue(self._answer, batch_max, wait_ms / 1000.0, _kin)

    async def complete(self, request: Request) -> Reply:
        """Answer in the model's own thread, together with whatever else waits."""
        return (await self.complete_ranked(request, 0)).reply

    async def complete_ranked(self, request: Request, ranked_count: int) -> RankedReply:
        """The same with the ``ranked_count`` most probable first tokens."""
        check_calls_allowed(self.provider, self.model)
        return await asyncio.wrap_future(self._queue.put(_Question(request, ranked_count, time.perf_counter())))

    async def close(self) -> None:
        """Free the weights, after the batch in progress; requests that still wait are refused."""
        await asyncio.get_running_loop().run_in_executor(None, self._queue.close)
        self._weights = self._decoder = None
        gc.collect()

    def _answer(self, batch: list[_Waiting]) -> None:
        """In the model's thread."""
        decoder, weights = self._loaded()
        self._answering = {}
        for one in batch:
            asked = one.question
            try:
                row = row_of(asked.request, weights, self.model, bool(asked.request.labels or asked.ranked_count))
            except MetaLearningError as error:
                one.fail(error)
            else:
                self._answering[row] = one
        rows = list(self._answering)
        try:
            for family in families([row.prompt for row in rows], self._shared_min):
                for some in _passes([rows[place] for place in family]):
                    decoder.answer(some)
        finally:
            self._answering = {}

    def _ended(self, row: Row) -> None:
        """Hand the answer over at once: the rest of the batch may go on for long."""
        one, weights = self._answering[row], self._weights
        assert weights is not None
        asked = one.question
        reply = Reply(
            text=text_of(row, weights),
            model=self.model,
            prompt_tokens=len(row.prompt),
            completion_tokens=len(row.said),
            latency_s=time.perf_counter() - asked.asked_at,
            label_logprobs=_label_logprobs(row.first, asked.request.labels, weights) if asked.request.labels else None,
        )
        ranked = _ranked(row.first, asked.ranked_count, weights) if asked.ranked_count else ()
        one.answer(RankedReply(reply, ranked, row.ended))

    def _abandoned(self, row: Row) -> bool:
        return self._answering[row].abandoned

    def _loaded(self) -> tuple[Decoder, Weights]:
        if self._weights is None or self._decoder is None:
            self._weights = opened(self._source, self._dtype, self._threads_count)
            self._decoder = Decoder(self._weights, self._ended, self._abandoned, self._shared_min)
        return self._decoder, self._weights


def _kin(question: _Question) -> int:
    """All but the last turn: what the requests of one prompt have in common, instruction and examples."""
    return hash(question.request.messages[:-1])


def _passes(rows: Sequence[Row]) -> list[list[Row]]:
    """``rows``, sorted by length, in pieces that fit one pass and hold little padding."""
    pieces: list[list[Row]] = []
    for row in rows:
        last = pieces[-1] if pieces else []
        full = (len(last) + 1) * len(row.prompt) > PASS_TOKENS_MAX
        longer = LONGER + LONGER_A_TOKEN * (min(8, row.tokens_max) - 1)
        padded = len(last) >= ROWS_BUSY and len(row.prompt) - len(last[0].prompt) > longer
        if not last or full or padded:
            pieces.append([row])
        else:
            last.append(row)
    return pieces


def _label_logprobs(first: Any, labels: tuple[str, ...], weights: Weights) -> dict[str, float] | None:
    """As `labels.label_logprobs`, on the whole vocabulary: a label that no token begins gets the smallest log-probability."""
    if len({label.lower() for label in labels}) < 2:
        return None
    begun = weights.beginnings(labels)
    if not any(begun.values()):
        return None
    least = float(first.min())
    return {label: float(first[tokens].logsumexp(dim=0)) if tokens else least for label, tokens in begun.items()}


def _ranked(first: Any, count: int, weights: Weights) -> tuple[tuple[str, float], ...]:
    found = first[: len(weights.vocabulary)].topk(min(count, len(weights.vocabulary)))
    pairs = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return tuple((weights.vocabulary[number], logprob) for number, logprob in pairs)
