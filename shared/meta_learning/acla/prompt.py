"""A prompt as ordered typed blocks: role, task, rules, reasoning, exemplars, contract, and the frame of the input.

The contract (how to answer) and the frame (where the template variables stand) are never evolved.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any

from meta_learning.llm import Message

_VARIABLE = re.compile(r"\{(\w+)\}")
_CONTRACT = re.compile(
    r"\b(answer|respond|reply|output|return)\b[^.\n]*\b(with|only|one|exactly|word|letter|json|format|either|just|in)\b",
    re.I,
)
_SENTENCE = re.compile(r"(?<=[.!?:])\s+(?=[A-Z\"'])")


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One worked example. ``item_id`` names the item it was made of, so that a prompt is never scored on its own examples."""

    input: str
    answer: str
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Immutable; `edit` makes another. ``verbatim`` keeps the text that a person wrote, to the letter.

    >>> prompt = Prompt.parse("You are a critic. Judge the review. Answer with one word.")
    >>> prompt.role, prompt.task, prompt.contract
    ('You are a critic.', 'Judge the review.', 'Answer with one word.')
    >>> print(prompt.edit(rules=("Mind irony.",)).render())
    You are a critic.
    <BLANKLINE>
    Judge the review.
    <BLANKLINE>
    Rules:
    - Mind irony.
    <BLANKLINE>
    Answer with one word.
    """

    task: str = ""
    role: str = ""
    rules: tuple[str, ...] = ()
    reasoning: str = ""
    exemplars: tuple[Exemplar, ...] = ()
    contract: str = ""
    frame: str = ""
    verbatim: str = ""

    @classmethod
    def parse(cls, text: str) -> Prompt:
        """The blocks of a prompt that a person wrote; what fits no other block is the task."""
        body, frame = _split_frame(text.strip())
        sentences = [part for part in _SENTENCE.split(body) if part.strip()]
        role = sentences.pop(0) if len(sentences) > 1 and re.match(r"(you are|act as)\b", sentences[0], re.I) else ""
        contract: list[str] = []
        while len(sentences) > 1 and (
            _CONTRACT.search(sentences[-1]) or (not contract and _CONTRACT.search(sentences[-2]))
        ):
            contract.insert(0, sentences.pop())
        return cls(task=" ".join(sentences), role=role, contract=" ".join(contract), frame=frame, verbatim=text)

    def edit(self, **changes: Any) -> Prompt:
        """This prompt with other blocks.

        Raises:
            TypeError: the contract or the frame was to be changed, or there is no such block.
        """
        fixed = {"contract", "frame", "verbatim"} & set(changes)
        if fixed:
            raise TypeError(f"{', '.join(sorted(fixed))} cannot be evolved")
        return replace(self, verbatim="", **changes)

    def render(self) -> str:
        """The text, the same for the same blocks."""
        if self.verbatim:
            return self.verbatim
        rules = "Rules:\n" + "\n".join(f"- {rule}" for rule in self.rules) if self.rules else ""
        shown = [f"Input: {one.input}\nAnswer: {one.answer}" for one in self.exemplars]
        exemplars = "Examples:\n\n" + "\n\n".join(shown) if shown else ""
        blocks = (self.role, self.task, rules, self.reasoning, exemplars, self.contract, self.frame)
        return "\n\n".join(block for block in blocks if block)

    @property
    def version(self) -> str:
        """Digest of the rendered text: what is measured, named."""
        return hashlib.sha256(self.render().encode()).hexdigest()[:16]

    @property
    def thinks_aloud(self) -> bool:
        """Whether the answer comes after a written chain of thought, on a line of its own."""
        return "Answer:" in self.reasoning

    @property
    def exemplar_ids(self) -> frozenset[str]:
        """The items that the examples were made of."""
        return frozenset(one.item_id for one in self.exemplars if one.item_id)

    def variables(self) -> frozenset[str]:
        """Names of the template variables in the text."""
        return frozenset(_VARIABLE.findall(self.frame))

    def messages(self, text: str) -> tuple[Message, ...]:
        """What the model is sent for one input: in its place where the prompt has one, else as the user's turn."""
        said = self.render()
        if "{input}" in self.frame:
            return (Message("user", _filled(said, text)),)
        return (Message("system", said), Message("user", text))


def _split_frame(text: str) -> tuple[str, str]:
    """The text before the paragraph that holds a template variable, and the rest."""
    paragraphs = text.split("\n\n")
    for index, paragraph in enumerate(paragraphs):
        if _VARIABLE.search(paragraph):
            return "\n\n".join(paragraphs[:index]).strip(), "\n\n".join(paragraphs[index:])
    return text, ""


def _filled(said: str, text: str) -> str:
    # The last place: exemplars and rules before the frame may speak of "{input}" themselves.
    before, _, after = said.rpartition("{input}")
    return before + text + after
