"""A prompt put to a model, item by item, and its answers read by the one parser that everything shares."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from meta_learning.acla import Prompt
from meta_learning.acla.endpoint import Endpoint, joined, looked_at
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
    """Asks ``llm`` at temperature 0. With ``labels`` and a model that gives log-probabilities, an answer is the likeliest label.

    A server of which nothing is known is looked at first, by the rules of a run: what every arm is asked must not depend on
    whether a search came before.
    """

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
        self._servers: dict[tuple[bool, bool], Endpoint] = {}
        self._room = asyncio.Semaphore(max(1, llm.capabilities.concurrency_max))

    async def predict(self, package: Package, samples: Sequence[Sample], repeat: int = 0) -> list[Prediction]:
        """One prediction a sample, in their order; ``repeat`` asks the same questions anew.

        Raises:
            LLMUnavailable: the model does not answer.
        """
        prompt = Prompt.parse(package.text)
        if samples and self._is_unknown and _kind(prompt) not in self._servers:
            request = self._request(prompt, str(samples[0]["input"]), 0)
            self._servers[_kind(prompt)] = await looked_at(self._ask, request)
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
        reply = await self._ask(self._request(prompt, str(sample["input"]), repeat))
        if isinstance(reply, CallerError):
            return replace(nothing, refused=str(reply))
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

    @property
    def _is_unknown(self) -> bool:
        return self._llm.capabilities.extras.get("label_logprobs") == "ask"

    async def _ask(self, request: Request) -> Reply | CallerError:
        async with self._room:
            self.calls_count += 1
            try:
                return await self._llm.complete(request)
            except CallerError as error:
                # Its subclasses are about the key or the model: they would come for every item.
                if type(error) is not CallerError:
                    raise
                return error

    def _request(self, prompt: Prompt, text: str, repeat: int) -> Request:
        server = self._servers.get(_kind(prompt))
        # Nothing is known before the look: it asks for the labels' log-probabilities.
        gives = server.label_logprobs if server else self._is_unknown or self._llm.capabilities.label_logprobs
        by_label = bool(self._labels) and gives and not prompt.thinks_aloud
        messages = prompt.messages(text)
        tokens = self._reasoning_tokens if prompt.thinks_aloud else self._answer_tokens
        return Request(
            messages=joined(messages) if server and server.system_role is False else messages,
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


def _kind(prompt: Prompt) -> tuple[bool, bool]:
    """What a look at a server depends on: prompts that think aloud show no labels, and some have no turn for instructions."""
    return prompt.thinks_aloud, any(one.role == "system" for one in prompt.chat().messages)
