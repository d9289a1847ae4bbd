"""Worlds in which the truth about every prompt is known: outcome matrices without end, drawn item by item from a seed.

Each block of a prompt has an effect of its own, each item a difficulty, and each pair of them a whim; the model is right where
the sum is positive. A world is a pure function of its number, so a run can be replayed and every prompt asked 2,000 test items.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean
from typing import Any

from meta_learning.acla.calibration import Calibration
from meta_learning.acla.prompt import Exemplar, Prompt
from meta_learning.acla.splits import item_id
from meta_learning.llm import Capabilities, Message, Reply, Request
from meta_learning.llm.scripted import ScriptedLLM

LABELS = ("negative", "positive")
SEED_PROMPT = "You are a reader. Judge the text. Mind the tone. Answer with one word: positive or negative."
TEST_COUNT = 2000
_NORMAL = NormalDist()


@lru_cache(maxsize=200_000)
def draw(*keys: object) -> float:
    """A standard normal number that depends on nothing but ``keys``."""
    number = int.from_bytes(hashlib.blake2b(repr(keys).encode(), digest_size=6).digest())
    return _NORMAL.inv_cdf((number + 0.5) / 2**48)


@lru_cache(maxsize=10_000)
def parsed(text: str) -> Prompt:
    """A prompt's blocks."""
    return Prompt.parse(text)


@lru_cache(maxsize=10_000)
def told(before: tuple[Message, ...]) -> Prompt:
    """The prompt behind all messages but the input's: the system's text, and turns for its examples where it has them."""
    prompt, turns = parsed(before[0].text), before[1:]
    shown = zip(turns[::2], turns[1::2], strict=True)
    exemplars = tuple(Exemplar(said.text, answer.text, item_id(said.text)) for said, answer in shown)
    return prompt.edit(exemplars=exemplars) if exemplars else prompt


@lru_cache(maxsize=10_000)
def _version(prompt: Prompt) -> str:
    """Of what the model is sent: it cannot tell apart two prompts that say the same."""
    return repr([(one.role, one.text) for one in prompt.messages("")])


@lru_cache(maxsize=10_000)
def _quality(world: World, prompt: Prompt) -> float:
    return world._sum_of_effects(prompt)


@dataclass(frozen=True, slots=True)
class World:
    """``drift``: mean effect of a changed block, in units in which difficulty has spread 1 (0.1 is about 3 points of accuracy);
    ``effect``: their spread; 0 for a world in which nothing helps. ``leaning``: how far the model prefers one label. The same of a
    set of examples: ``examples_drift`` and ``examples_effect``, each as any other block's where it is None. ``leaning_spread``: how
    far prompts differ in it, .3 of the leaning where it is None.
    """

    number: int
    drift: float = -0.08
    effect: float = 0.2
    whim: float = 0.5
    base: float = 0.25
    leaning: float = 0.0
    logprobs: bool = False
    examples_drift: float | None = None
    examples_effect: float | None = None
    leaning_spread: float | None = None

    def quality(self, prompt: Prompt) -> float:
        """How good a prompt truly is, beside its leaning."""
        return _quality(self, prompt)

    def _sum_of_effects(self, prompt: Prompt) -> float:
        blocks: list[object] = [prompt.role, prompt.task, prompt.reasoning, *prompt.rules]
        shown = tuple(sorted(one.item_id for one in prompt.exemplars))
        if self.examples_drift is None:
            blocks.append(shown)
        return self._of_blocks(prompt, blocks) + (self._of_examples(shown) if self.examples_drift is not None else 0.0)

    def _of_examples(self, shown: tuple[str, ...]) -> float:
        if not shown:
            return 0.0
        spread = self.effect if self.examples_effect is None else self.examples_effect
        return (self.examples_drift or 0.0) + spread * draw(self.number, "shows", shown)

    def _of_blocks(self, prompt: Prompt, blocks: list[object]) -> float:
        seeded = parsed(SEED_PROMPT)
        ours = [one for one in blocks if one and one not in (seeded.role, seeded.task)]
        lost = [name for name in ("role", "task") if getattr(prompt, name) != getattr(seeded, name)]
        changes = [("has", one) for one in ours] + [("lost", one) for one in lost]
        return self.base + sum(self.drift + self.effect * draw(self.number, *change) for change in changes)

    def margin(self, prompt: Prompt, quality: float, text: str) -> float:
        """How clearly the model sees the right label; negative where it sees the wrong one."""
        own = draw(self.number, "whim", _version(prompt), text)
        return quality + draw(self.number, "item", text) + self.whim * own

    def answer(self, prompt: Prompt, text: str, quality: float | None = None) -> tuple[str, dict[str, float]]:
        """The label that the model says, and the log-probabilities of both."""
        margin = self.margin(prompt, self.quality(prompt) if quality is None else quality, text)
        towards_positive = margin if self.label(text) == "positive" else -margin
        spread = 0.3 * self.leaning if self.leaning_spread is None else self.leaning_spread
        lean = self.leaning + spread * draw(self.number, "lean", _version(prompt))
        odds = 1.5 * (towards_positive + lean)
        logprobs = {"positive": -math.log1p(math.exp(-odds)) - 1.0, "negative": -math.log1p(math.exp(odds)) - 1.0}
        return max(logprobs, key=logprobs.__getitem__), logprobs

    def label(self, text: str) -> str:
        """The right answer."""
        return LABELS[draw(self.number, "label", text) > 0.0]

    def samples(self, count: int, part: str = "train") -> list[dict[str, Any]]:
        """Items; those of another ``part`` share nothing with them."""
        texts = [f"the text with number {index} of {part} in world {self.number}" for index in range(count)]
        return [{"input": text, "expected": self.label(text), "metadata": {}} for text in texts]

    def accuracy(self, prompt: Prompt, bias: dict[str, float]) -> float:
        """On the test items, asked as the package says."""
        prompt = told(prompt.messages("")[:-1])
        package, quality = Calibration(bias), self.quality(prompt)
        asked = self.samples(TEST_COUNT, "test")
        return fmean(
            package.decision(self.answer(prompt, one["input"], quality)[1]) == one["expected"] for one in asked
        )

    def model(self) -> ScriptedLLM:
        """The language model of this world, with a weak author inside."""

        def reply(request: Request) -> Reply:
            if request.purpose == "proposer":
                return Reply(f"```\nIdea {request.sample}: decide with care.\n```", "world", 300, 20)
            prompt, text = told(request.messages[:-1]), request.messages[-1].text
            said, logprobs = self.answer(prompt, text)
            length = sum(len(one.text.split()) for one in request.messages)
            return Reply(said, "world", length, 1, 0.0, logprobs if self.logprobs else None)

        can = Capabilities(temperature=True, label_logprobs=self.logprobs, concurrency_max=8)
        return ScriptedLLM(reply, provider="world", model="world", capabilities=can)
