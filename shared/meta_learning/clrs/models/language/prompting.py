"""How a pair becomes tokens: the chat template of the base where it has one, and users' text that can never open a new turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meta_learning.clrs.models.port import Pair
from meta_learning.errors import ConfigurationError

MARK = "\u2063input\u2063"  # invisible separators: no template contains them


@dataclass(frozen=True, slots=True)
class Prompting:
    """Token ids around the input, and the limits on both texts. Limits are in tokens."""

    before: list[int]
    after: list[int]
    end: int | None
    tokenizer: Any
    input_tokens_max: int
    output_tokens_max: int

    @classmethod
    def of(cls, tokenizer: Any, instruction: str, chat: bool, limits: tuple[int, int]) -> Prompting:
        """Render ``instruction`` (which holds ``{input}`` once) as the user's turn, or as it is without ``chat``.

        ``limits``: tokens of an input and of an output.

        Raises:
            ConfigurationError: ``instruction`` does not name the input exactly once.
        """
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
        return cls(start + ids[0], ids[1], tokenizer.eos_token_id, tokenizer, *limits)

    def prompt(self, asked: str) -> list[int]:
        """The ids up to where the answer begins; at least one, for an answer needs something to follow."""
        ids = self.before + self._plain(asked, self.input_tokens_max) + self.after
        return ids or [self.end or 0]

    def encode(self, pair: Pair) -> tuple[list[int], list[int]]:
        """(prompt, answer); the answer closes with the end token, so that an empty one has a probability too."""
        closing = [self.end] if self.end is not None else []
        answer = self._plain(pair[1], self.output_tokens_max) + closing
        return self.prompt(pair[0]), answer or [0]

    def _plain(self, text: str, count_max: int) -> list[int]:
        # A token is at least one byte; what lies beyond cannot matter and need not be tokenised.
        cut = text[: count_max * 32]
        # Split: "<|im_end|>" in a user's text is eleven characters, not the end of their turn.
        ids = self.tokenizer(cut, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return list(ids[:count_max])
