"""How a pair becomes tokens: the chat template of the base where it has one, and users' text that can never open a new turn.

Two details decide whether a small base knows anything. After a prompt that ends in a word, an answer opens with a space:
" positive" is one token and "positive" another, which hardly ever follows a colon (of 500 tweets a colon was followed by one of
the two labels with probability .07 and .001). And a label needs no end token: whether the text goes on says nothing about it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, TypeAlias

from meta_learning.clrs.models.port import Pair
from meta_learning.errors import ConfigurationError

Question: TypeAlias = tuple[list[int], tuple[list[int], ...]]  # a prompt and its possible answers; first the one given
MARK = "\u2063input\u2063"  # invisible separators: no template contains them


@dataclass(frozen=True, slots=True)
class Prompting:
    """Token ids around the input, what stands before an answer, and the limits on both texts. Limits are in tokens."""

    before: list[int]
    after: list[int]
    gap: str
    labels: tuple[str, ...]
    end: int | None
    tokenizer: Any
    input_tokens_max: int
    output_tokens_max: int

    @classmethod
    def of(
        cls, tokenizer: Any, instruction: str, chat: bool, limits: tuple[int, int], labels: tuple[str, ...] = ()
    ) -> Prompting:
        """Render ``instruction`` (which holds ``{input}`` once) as the user's turn, or as it is without ``chat``.

        ``limits``: tokens of an input and of an output. ``labels``: the outputs that an answer is compared with.

        Raises:
            ConfigurationError: ``instruction`` does not name the input exactly once, or there are not two different labels.
        """
        if labels and not 2 <= len(set(labels)) == len(labels):
            raise ConfigurationError(
                "a label can only be compared with others: give two different ones at least, or none"
            )
        if instruction.count("{input}") != 1:
            raise ConfigurationError("the instruction must contain {input} exactly once")
        text = instruction.replace("{input}", MARK)
        if chat and tokenizer.chat_template:
            turn = [{"role": "user", "content": text}]
            text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
            start: list[int] = []
        else:
            start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        before, _, after = text.partition(MARK)
        ids = [list(tokenizer(part, add_special_tokens=False)["input_ids"]) for part in (before, after)]
        gap = "" if after[-1:].isspace() else " "
        return cls(start + ids[0], ids[1], gap, labels, tokenizer.eos_token_id, tokenizer, *limits)

    def prompt(self, asked: str) -> list[int]:
        """The ids up to where the answer begins; at least one, for an answer needs something to follow."""
        ids = self.before + self._plain(asked, self.input_tokens_max) + self.after
        return ids or [self.end or 0]

    def question(self, pair: Pair) -> Question:
        """The prompt with the answer given and, where there are labels, the others of them.

        Free answers are closed by the end token, which gives an empty one a probability too; labels only where one of them
        begins another. An output that is none of the labels is compared with all.
        """
        asked, output = pair
        choices = [output, *(label for label in self.labels if label != output)]
        known = [self._answer(choice) for choice in choices]
        closes = not self.labels or any(a == b[: len(a)] for a, b in itertools.permutations(known, 2))
        closing = [self.end] if closes and self.end is not None else []
        return self.prompt(asked), tuple(answer + closing or [self.end or 0] for answer in known)

    def _answer(self, text: str) -> list[int]:
        return self._plain(self.gap + text if text else "", self.output_tokens_max)

    def _plain(self, text: str, count_max: int) -> list[int]:
        # A token is at least one byte; what lies beyond cannot matter and need not be tokenised.
        cut = text[: count_max * 32]
        # Split: "<|im_end|>" in a user's text is eleven characters, not the end of their turn.
        ids = self.tokenizer(cut, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return list(ids[:count_max])
