"""What calls will take, guessed before the first one is paid."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from meta_learning.llm import Request
from meta_learning.llm.prices import Price

# English text has about four characters a token in every vocabulary of today; other scripts have fewer.
CHARS_PER_TOKEN = 4.0
# Roles and separators of a chat: 9 tokens for two turns of the packaged model, a few more for others.
TURN_TOKENS = 6
# Evolved prompts grow by rules and examples: in runs on a simulated model five calls in six showed examples (two to eight), and a
# call took 3.1 times the tokens of the seed prompt's (1.6 to 5.1), where this guesses 3.8.
GROWTH = 1.5
EXAMPLES_COUNT = 4
# Chat templates wrap each message in a handful of tokens that the request's text does not show.
TEMPLATE_TOKENS = 32
# What a vendor tells the model about a schema, besides the schema.
SCHEMA_TOKENS = 300


@dataclass(frozen=True, slots=True)
class Estimate:
    """``calls`` and the tokens and money that they will probably take: between ``low`` (no prompt grows) and ``high``."""

    calls: int
    tokens_low: int
    tokens_high: int
    money_low_usd: float | None
    money_high_usd: float | None

    def in_batches(self, price: Price | None) -> Estimate:
        """Where calls may go out in batches: all of them do at ``money_low_usd``, none at ``money_high_usd``.

        >>> estimate(100, 400, 8, Price(1.0, 5.0)).in_batches(Price(1.0, 5.0, batch_factor=0.5)).money_low_usd
        0.0076
        """
        if price is None or self.money_low_usd is None:
            return self
        return replace(self, money_low_usd=round(price.batch_factor * self.money_low_usd, 6))


def estimate(
    calls: int,
    prompt_chars: float,
    completion_tokens: int,
    price: Price | None,
    turns_count: int = 2,
    example_chars: float = 0.0,
) -> Estimate:
    """The guess for ``calls`` whose prompt and input have ``prompt_chars`` together, in so many turns of a chat.

    ``example_chars``: how long an example would be, its input and its answer.

    >>> estimate(100, 400, 8, Price(1.0, 5.0), example_chars=80)
    Estimate(calls=100, tokens_low=12000, tokens_high=30400, money_low_usd=0.0152, money_high_usd=0.0336)
    """
    low = prompt_chars / CHARS_PER_TOKEN + TURN_TOKENS * turns_count
    high = low * GROWTH + EXAMPLES_COUNT * (example_chars / CHARS_PER_TOKEN + 2 * TURN_TOKENS)
    return Estimate(
        calls=calls,
        tokens_low=round(calls * (low + completion_tokens)),
        tokens_high=round(calls * (high + completion_tokens)),
        money_low_usd=_money(calls, low, completion_tokens, price),
        money_high_usd=_money(calls, high, completion_tokens, price),
    )


def most_tokens(request: Request) -> tuple[int, int]:
    """An upper bound of the tokens of a prompt and its answer: every token of a byte-level vocabulary stands for at least one byte."""
    asked = sum(len(message.text.encode()) + TEMPLATE_TOKENS for message in request.messages)
    if request.schema is not None:
        asked += len(json.dumps(request.schema).encode()) + SCHEMA_TOKENS
    return asked, request.max_tokens


def calls_within(cap: float | None, one_call: float) -> int | None:
    """How many calls a cap on tokens or money pays for if each takes ``one_call``; None where nothing is capped or paid."""
    return None if cap is None or one_call <= 0.0 else int(cap / one_call)


def _money(calls: int, prompt_tokens: float, completion_tokens: int, price: Price | None) -> float | None:
    return None if price is None else round(price.of(round(prompt_tokens), completion_tokens) * calls, 6)
