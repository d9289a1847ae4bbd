"""From a request to a row of tokens: the chat template of the model's own tokenizer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from meta_learning.errors import CallerError
from meta_learning.llm import Request
from meta_learning.llm.batched.weights import Weights


@dataclass(slots=True, eq=False)
class Row:
    """A prompt in tokens and the answer so far. ``first``: log-probabilities of all first tokens, where they are wanted."""

    prompt: list[int]
    tokens_max: int
    draws: random.Random
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    wants_first: bool = False
    said: list[int] = field(default_factory=list)
    first: Any = None
    ended: bool = False


def row_of(request: Request, weights: Weights, model: str, wants_first: bool) -> Row:
    """``request`` for this model. Its draws depend on what is asked and on its sample alone: equal requests repeat.

    Raises:
        CallerError: it is too long for the model, or its template refuses it.
    """
    prompt = _tokens(request, weights.tokenizer)
    room = weights.context_tokens - len(prompt)
    if room < 1 or not prompt:
        raise CallerError(f"{len(prompt)} tokens do not fit the context of {weights.context_tokens} with an answer")
    return Row(
        prompt=prompt,
        tokens_max=max(1, min(request.max_tokens, room)),
        draws=random.Random(int(request.digest("transformers", model)[:16], 16)),
        temperature=request.temperature or 0.0,
        stop=tuple(stop for stop in request.stop if stop),
        wants_first=wants_first,
    )


def _tokens(request: Request, tokenizer: Any) -> list[int]:
    messages = [{"role": message.role, "content": message.text} for message in request.messages]
    if not getattr(tokenizer, "chat_template", None):
        # A model that was never taught to chat goes on with the text.
        text = "\n".join(message["content"] for message in messages)
        return list(tokenizer(text)["input_ids"])
    try:
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except Exception as error:  # noqa: BLE001 (templates are programs of the model's makers: they raise what they like)
        raise CallerError(f"the model's chat template refuses these messages: {error}") from None
    # The template has written the special tokens already.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def text_of(row: Row, weights: Weights) -> str:
    """What was said, up to the first of the stop texts."""
    text = str(weights.tokenizer.decode(row.said, skip_special_tokens=True))
    ends = [place for place in (text.find(stop) for stop in row.stop) if place >= 0]
    return text[: min(ends)] if ends else text
