"""A simulated language model of which we know how good each prompt truly is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from meta_learning.acla import CurriculumConfig
from meta_learning.llm import Reply, Request
from meta_learning.llm.scripted import ScriptedLLM

LABELS = ("high", "low")
SEED_PROMPT = "Say whether the number is high or low. Answer with one word."


def chance(*keys: object) -> float:
    """A uniform number in [0, 1) that depends on nothing but ``keys``."""
    digest = hashlib.sha256("|".join(map(str, keys)).encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def samples(count: int, world: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "input": f"number {world}-{i} of many",
            "expected": LABELS[int(chance("label", world, i) < 0.5)],
            "metadata": {"i": i},
        }
        for i in range(count)
    ]


def expected_of(text: str) -> str:
    world, i = re.findall(r"number (\d+)-(\d+)", text)[-1]
    return LABELS[int(chance("label", world, i) < 0.5)]


def told(request: Request) -> str:
    """All that stands before the input: the instruction, and below it the turns of the examples."""
    before = request.messages[:-1]
    return "\n\n".join([one.text for one in before[:1]] + [f"{one.role}: {one.text}" for one in before[1:]])


def shows_examples(prompt: str) -> bool:
    """Whether the text of a prompt, or what a model was told, has worked examples."""
    return "Examples (" in prompt or "assistant: " in prompt


def with_examples(prompt: str) -> float:
    """A world in which examples truly help."""
    return 0.9 if shows_examples(prompt) else 0.55


def nothing_helps(prompt: str) -> float:
    """A world in which every prompt is as good as every other."""
    return 0.6


def model(accuracy: Callable[[str], float], spread: float = 0.5) -> ScriptedLLM:
    """Right on an item with the prompt's ``accuracy``; a share ``spread`` of what decides is drawn anew for each prompt."""

    def answer(request: Request) -> str | Reply:
        if request.purpose == "proposer":
            return f"```\nA new idea, number {request.sample}: decide with care.\n```"
        prompt, text = told(request), request.messages[-1].text
        own = chance(prompt, text) < spread
        draw = chance("own", prompt, text) if own else chance("item", text)
        right = expected_of(text)
        return right if draw < accuracy(prompt) else LABELS[1 - LABELS.index(right)]

    return ScriptedLLM(answer)


def config(**changes: Any) -> CurriculumConfig:
    settings: dict[str, Any] = {"initial_prompt": SEED_PROMPT, "dataset_name": "simulated", "max_iterations": 6}
    return CurriculumConfig(**(settings | changes))
