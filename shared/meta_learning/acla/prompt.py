"""A prompt as ordered typed blocks: role, task, rules, reasoning, exemplars, contract, and the frame of the input.

The contract (how to answer) and the frame (where the template variables stand) are never evolved. Exemplars are sent as turns of
the chat: the other blocks as the system's, each example's input as the user's and its answer as the assistant's, then the input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from meta_learning.acla import blocks
from meta_learning.acla.chat import PLACE, Chat, chat_of
from meta_learning.acla.contracts import split_contract
from meta_learning.acla.splits import item_id
from meta_learning.errors import ConfigurationError
from meta_learning.llm import Message


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One worked example. ``item_id`` names the item it was made of, so that a prompt is never scored on its own examples."""

    input: str
    answer: str
    item_id: str = ""


@dataclass(frozen=True)  # no slots: what is computed from the blocks is kept
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
    def parse(cls, text: str, labels: Sequence[str] = (), contract: str | None = None) -> Prompt:
        """The blocks of a text: of one that was rendered, those that it was made of; else what fits no other block is the task.

        ``contract``: the words of the text that say how to answer, and so are kept; empty: none are; None: they are guessed, also by
        the ``labels`` where these are known. Where the only instructions stand around the variables, they are taken out of the frame.

        Examples of a person's, or of an earlier version ("Examples:"), are sent as the text that they are until they are edited.

        >>> prompt = Prompt.parse("Judge the review. Answer with one word.").edit(exemplars=(Exemplar("nice", "good"),))
        >>> Prompt.parse(prompt.render()).edit().render() == prompt.render()
        True

        Raises:
            ConfigurationError: ``contract`` is not in the instructions word for word.
        """
        body, shown, after, frame = blocks.outline(text)
        if frame and not shown and blocks.is_only_role(body):
            moved, rest = blocks.split_input(frame)
            if not contract or contract.strip() in moved or contract.strip() in rest:
                body, frame = "\n\n".join(part for part in (body, moved) if part), rest
        found = after
        if contract is not None:
            body, found = _named(contract.strip(), body, after, frame)
        body, rules, reasoning = blocks.split_rules(body)
        if not rules:
            body, reasoning = blocks.split_reasoning(body)
        role, task = blocks.split_role(body)
        exemplars = tuple(Exemplar(said, answer, item_id(said)) for said, answer in shown)
        prompt = cls(task, role, rules, reasoning, exemplars, found, frame, verbatim=text)
        return _with_guess(prompt, labels) if contract is None else prompt

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
        exemplars = blocks.turns([(one.input, one.answer) for one in self.exemplars])
        said = (self.role, self.task, rules, self.reasoning, exemplars, self.contract, self.frame)
        return "\n\n".join(block for block in said if block)

    @cached_property
    def version(self) -> str:
        """Digest of the rendered text: what is measured, named."""
        return hashlib.sha256(self.render().encode()).hexdigest()[:16]

    @property
    def thinks_aloud(self) -> bool:
        """Whether the answer comes after a written chain of thought, on a line of its own."""
        return blocks.thinks_aloud("\n".join((self.role, self.task, *self.rules, self.reasoning, self.contract)))

    @cached_property
    def exemplar_ids(self) -> frozenset[str]:
        """The items that the examples were made of."""
        return frozenset(one.item_id for one in self.exemplars if one.item_id)

    def messages(self, text: str) -> tuple[Message, ...]:
        """What the model is sent for one input; read off the rendered text alone, so that whoever has that sends the same.

        >>> prompt = Prompt(task="Judge.", exemplars=(Exemplar("nice", "good"),), frame="Text: {input}")
        >>> [(one.role, one.text) for one in prompt.messages("dull")]
        [('system', 'Judge.'), ('user', 'Text: nice'), ('assistant', 'good'), ('user', 'Text: dull')]
        """
        return self.chat().filled(text)

    def chat(self) -> Chat:
        """The turns with a place for the input."""
        said = self.render()
        before, shown, after = blocks.split_turns(said)
        if shown:
            contract, frame = blocks.split_frame(after)
            if PLACE not in frame:
                contract, frame = after, ""
            return chat_of("\n\n".join(part for part in (before, contract) if part), shown, "", frame)
        *_, frame = blocks.outline(said)
        if PLACE not in frame:
            return chat_of(said, (), "", "")
        # In the frame alone: exemplars and rules before it may speak of "{input}" themselves.
        before, _, after = said.rpartition(frame)
        return chat_of("", (), before, frame + after)

    def as_blocks(self) -> dict[str, Any]:
        """The blocks that are not empty, as plain values."""
        return {name: value for name, value in asdict(self).items() if value and name != "verbatim"}

    @property
    def fixed(self) -> tuple[str, ...]:
        """The texts that no edit changes, in their order: the contract, and the frame with the template variables.

        >>> Prompt.parse("Judge it. Answer yes or no.\\n\\nText: {input}").fixed
        ('Answer yes or no.', 'Text: {input}')
        """
        return tuple(one for one in (self.contract, self.frame) if one)

    @property
    def evolved_variables(self) -> frozenset[str]:
        """Template variables outside the frame: whoever fills in the template would fill these in too."""
        return blocks.variables(replace(self, frame="", verbatim="").render())


def _named(contract: str, body: str, after: str, frame: str) -> tuple[str, str]:
    """The instructions without a contract that somebody named, and what is kept."""
    if not contract:
        return "\n\n".join(part for part in (body, after) if part), ""
    if contract in after or contract in frame:
        return body, after
    if contract not in body:
        raise ConfigurationError(f"the contract {contract!r} is not in the prompt's instructions: say it word for word")
    return blocks.without(body, contract), "\n\n".join(part for part in (contract, after) if part)


def _with_guess(prompt: Prompt, labels: Sequence[str]) -> Prompt:
    """With what says how to answer moved out of its blocks, before the text after the examples."""
    # Before turns of ours nothing is left to guess; a person may order a form before the examples, and close with another sentence.
    is_ours = bool(prompt.exemplars and blocks.split_turns(prompt.verbatim)[1])
    if prompt.exemplars and prompt.contract and (is_ours or blocks.tells_how(prompt.contract, labels)):
        return prompt
    found: list[str] = []
    task, rules, reasoning = prompt.task, prompt.rules, prompt.reasoning
    if rules and not is_ours:
        reasoning, last = blocks.split_last_contract(reasoning, labels)
        found.append(last)
    task, first = split_contract(task, labels)
    found.insert(0, first)
    if not any(found):
        rules, ruled = blocks.split_ruled_contract(rules)
        found.append(ruled)
    contract = "\n\n".join(part for part in (*found, prompt.contract) if part)
    return replace(prompt, task=task, rules=rules, reasoning=reasoning, contract=contract)
