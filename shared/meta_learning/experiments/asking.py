"""A prompt put to a model, item by item, and its answers read by the one parser that everything shares."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from meta_learning.acla import Prompt
from meta_learning.acla.parsing import is_right, parse_answer
from meta_learning.datasets.groups import group_of
from meta_learning.errors import CallerError
from meta_learning.experiments.clusters import clustered_mean
from meta_learning.experiments.intervals import Estimate
from meta_learning.experiments.predictions import Prediction, item_key, segment_of
from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.models import price_of

Sample = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Package:
    """What is put to use: a prompt's text, and the weights on its labels that it was chosen with (empty for none)."""

    text: str
    label_bias: Mapping[str, float]


class PromptAsker:
    """Asks ``llm`` at temperature 0. With ``labels`` and a model that gives log-probabilities, an answer is the likeliest label."""

    def __init__(
        self,
        llm: LLM,
        labels: Sequence[str],
        segment_by: str | None = None,
        answer_tokens: int = 32,
        reasoning_tokens: int = 256,
    ) -> None:
        self._llm, self._labels, self._segment_by = llm, tuple(labels), segment_by
        self._answer_tokens, self._reasoning_tokens = answer_tokens, reasoning_tokens
        self.calls_count = 0
        self._room = asyncio.Semaphore(max(1, llm.capabilities.concurrency_max))

    async def predict(self, package: Package, samples: Sequence[Sample], repeat: int = 0) -> list[Prediction]:
        """One prediction a sample, in their order; ``repeat`` asks the same questions anew.

        Raises:
            LLMUnavailable: the model does not answer.
        """
        prompt = Prompt.parse(package.text)
        return list(await asyncio.gather(*(self._one(prompt, package, sample, repeat) for sample in samples)))

    async def flip_rate(self, package: Package, samples: Sequence[Sample], first: Sequence[Prediction]) -> Estimate:
        """The share of answers that differ when the same question is asked a second time at temperature 0."""
        again = await self.predict(package, samples, repeat=1)
        pairs = [
            (one, other) for one, other in zip(first, again, strict=False) if not one.refused and not other.refused
        ]
        flips = [float(one.answer != other.answer) for one, other in pairs]
        return clustered_mean(flips, [one.group for one, _ in pairs])

    async def _one(self, prompt: Prompt, package: Package, sample: Sample, repeat: int) -> Prediction:
        item, expected = item_key(sample), str(sample["expected"])
        segment, group = segment_of(sample, self._segment_by), group_of(sample)
        nothing = Prediction(item, expected, None, 0.0, segment=segment, group=group)
        async with self._room:
            self.calls_count += 1
            try:
                reply = await self._llm.complete(self._request(prompt, str(sample["input"]), repeat))
            except CallerError as error:
                # Its subclasses are about the key or the model: they would come for every item.
                if type(error) is not CallerError:
                    raise
                return replace(nothing, refused=str(error))
        answer, confidence = self._read(prompt, package, reply)
        price = price_of(self._llm.provider, reply.model)
        return replace(
            nothing,
            answer=answer,
            score=float(is_right(answer, expected)),
            confidence=confidence,
            tokens=reply.prompt_tokens + reply.completion_tokens,
            cost_usd=None if price is None else price.of_reply(reply),
            latency_s=reply.latency_s,
        )

    def _request(self, prompt: Prompt, text: str, repeat: int) -> Request:
        by_label = bool(self._labels) and self._llm.capabilities.label_logprobs and not prompt.thinks_aloud
        tokens = self._reasoning_tokens if prompt.thinks_aloud else self._answer_tokens
        return Request(
            messages=prompt.messages(text),
            max_tokens=1 if by_label else tokens,
            labels=self._labels if by_label else (),
            sample=repeat,
        )

    def _read(self, prompt: Prompt, package: Package, reply: Reply) -> tuple[str | None, float | None]:
        said = None if prompt.thinks_aloud else reply.label_logprobs
        text = parse_answer(reply.text, self._labels)
        # Where the model considered no label, the weights decide alone, as in the run that fitted them.
        said = said or (None if text else dict.fromkeys(package.label_bias, 0.0))
        if not said:
            return text, None
        weighed = {label: value + package.label_bias.get(label, 0.0) for label, value in said.items()}
        answer = max(weighed, key=weighed.__getitem__)
        # Among the labels alone: what else the model might have said is not an answer.
        total = sum(math.exp(value - weighed[answer]) for value in weighed.values())
        return answer, 1.0 / total
