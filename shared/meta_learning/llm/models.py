"""The models that are offered by name, as of one date: defaults, prices, and names that are gone.

Sources: the type lists and deprecation notes in the vendors' SDKs (anthropic 2.12.0, openai 3.54.0); prices from public
lists of October 2026. Adapters take any name, so a model newer than this table is used by building its adapter by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from meta_learning.errors import UnknownModel
from meta_learning.llm import Reply

TABLE_DATE = date(2026, 11, 22)
# Both vendors sell input and output tokens of a batch so (public pages of 2026; OpenAI's single prices are not known here).
BATCH = 0.5
# Anthropic's cache of five minutes, by its public pages: a prompt that is read costs a tenth, one that is written a quarter more.
CACHE_READ, CACHE_WRITE = 0.1, 1.25


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens. Above ``long_from`` prompt tokens both rates are multiplied by ``long_factor``.

    In a batch they are multiplied by ``batch_factor``: 1 where the vendor is not known to sell batches cheaper. Prompt tokens that
    are read from the vendor's cache, or written there, cost ``read_factor`` and ``write_factor`` times as much as others.
    """

    prompt: float
    completion: float
    long_from: int | None = None
    long_factor: float = 1.0
    batch_factor: float = 1.0
    read_factor: float = 1.0
    write_factor: float = 1.0

    def of(self, prompt_tokens: int, completion_tokens: int, batched: bool = False) -> float:
        """What one call costs.

        >>> Price(2.0, 10.0).of(1_000_000, 100_000), Price(2.0, 10.0, batch_factor=0.5).of(1_000_000, 100_000, batched=True)
        (3.0, 1.5)
        """
        factor = self.long_factor if self.long_from is not None and prompt_tokens > self.long_from else 1.0
        factor *= self.batch_factor if batched else 1.0
        return factor * (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6

    def of_reply(self, reply: Reply) -> float:
        """What a reply cost, as it came.

        >>> Price(2.0, 10.0, read_factor=0.1).of_reply(Reply("", "", prompt_tokens=1_000_000, cache_read_tokens=500_000))
        1.1
        """
        cached = (self.read_factor - 1.0) * reply.cache_read_tokens + (
            self.write_factor - 1.0
        ) * reply.cache_write_tokens
        whole = self.of(reply.prompt_tokens, reply.completion_tokens, reply.batched)
        return whole + cached * self.of(reply.prompt_tokens, 0, reply.batched) / max(1, reply.prompt_tokens)

    def most(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The most that a call can cost: alone, and with all of its prompt written to the vendor's cache."""
        dearer = max(1.0, self.write_factor) - 1.0
        return self.of(prompt_tokens, completion_tokens) + dearer * self.of(prompt_tokens, 0)


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its price where it is known, and the last day on which it answers where that is announced."""

    price: Price | None = None
    retires: date | None = None


DEFAULTS = {
    "anthropic": "claude-haiku-5-5",
    "openai": "gpt-5.4-mini",
    "local": "smollm2-135m-instruct",
    "transformers": "smollm2-135m-instruct",
}

MODELS: dict[str, dict[str, Model]] = {
    "anthropic": {
        "claude-haiku-5-5": Model(Price(0.10, 0.50, 100_000, 5.0, BATCH, CACHE_READ, CACHE_WRITE)),
        "claude-sonnet-5-5": Model(Price(2.0, 10.0, None, 1.0, BATCH, CACHE_READ, CACHE_WRITE)),
        "claude-opus-5-5": Model(Price(4.0, 20.0, None, 1.0, BATCH, CACHE_READ, CACHE_WRITE)),
        "claude-fable-5-2": Model(),
        "claude-mythos-5-2": Model(),
        "claude-fable-5-1": Model(),
        "claude-mythos-5-1": Model(),
        "claude-sonnet-5": Model(),
        "claude-opus-5": Model(),
        "claude-fable-5": Model(),
        "claude-mythos-5": Model(),
        "claude-opus-4-8": Model(),
        "claude-opus-4-7": Model(),
        "claude-opus-4-6": Model(),
        "claude-sonnet-4-6": Model(),
        "claude-haiku-4-5": Model(),
        "claude-opus-4-5": Model(),
        "claude-sonnet-4-5": Model(retires=date(2026, 11, 30)),
        "claude-mythos-preview": Model(retires=date(2026, 6, 30)),
        "claude-opus-4-0": Model(retires=date(2026, 6, 15)),
        "claude-sonnet-4-0": Model(retires=date(2026, 6, 15)),
        "claude-3-7-sonnet-latest": Model(retires=date(2026, 2, 19)),
        "claude-3-5-haiku-latest": Model(retires=date(2026, 2, 19)),
        "claude-3-opus-20240229": Model(retires=date(2026, 1, 5)),
        "claude-3-sonnet-20240229": Model(retires=date(2025, 7, 21)),
    },
    "openai": {
        "gpt-6.2-astra": Model(),
        "gpt-6-astra": Model(),
        "gpt-6.2-sol": Model(),
        "gpt-6.1-sol": Model(),
        "gpt-6-sol": Model(),
        "gpt-6.1-terra": Model(),
        "gpt-6-luna": Model(),
        "gpt-5.6-sol": Model(),
        "gpt-5.6-terra": Model(),
        "gpt-5.6-luna": Model(),
        "gpt-5.5": Model(),
        "gpt-5.4": Model(),
        "gpt-5.4-mini": Model(),
        "gpt-5.2": Model(),
        "gpt-5.4-nano": Model(retires=date(2027, 4, 1)),
        "gpt-5.1": Model(retires=date(2027, 4, 1)),
        "gpt-4.1": Model(retires=date(2027, 1, 14)),
        "gpt-4.1-mini": Model(retires=date(2027, 1, 14)),
        "gpt-4o": Model(retires=date(2027, 1, 14)),
        "gpt-4o-mini": Model(retires=date(2027, 1, 14)),
        "gpt-5": Model(retires=date(2026, 12, 11)),
        "gpt-5-mini": Model(retires=date(2026, 12, 11)),
        "gpt-5-nano": Model(retires=date(2026, 12, 11)),
        "o3": Model(retires=date(2026, 12, 11)),
        "gpt-4.1-nano": Model(retires=date(2026, 10, 23)),
        "o4-mini": Model(retires=date(2026, 10, 23)),
        "o3-mini": Model(retires=date(2026, 10, 23)),
        "gpt-4": Model(retires=date(2026, 10, 23)),
        "gpt-3.5-turbo": Model(retires=date(2026, 10, 23)),
    },
    "local": {"smollm2-135m-instruct": Model(Price(0.0, 0.0))},
    "transformers": {"smollm2-135m-instruct": Model(Price(0.0, 0.0))},
}
_SNAPSHOT = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")
PROVIDERS = tuple(MODELS)


def current_model(provider: str, name: str | None, today: date = TABLE_DATE) -> str:
    """``name`` if the provider still serves it, the provider's default for None. Dated snapshots go by their model.

    >>> current_model("anthropic", None)
    'claude-haiku-5-5'
    >>> current_model("openai", "gpt-5.4-mini-2026-03-17")
    'gpt-5.4-mini-2026-03-17'

    Raises:
        UnknownModel: the table knows no such provider or name, or the model is retired; the message offers others.
    """
    if provider not in MODELS:
        raise UnknownModel(f"no provider {provider!r}; there are {', '.join(sorted(MODELS))}")
    name = DEFAULTS[provider] if name is None else name
    model = _model(provider, name)
    if model is None:
        raise UnknownModel(f"{provider} has no model {name!r} (table of {TABLE_DATE}); try {_offered(provider, today)}")
    if model.retires is not None and model.retires < today:
        raise UnknownModel(f"{provider} retired {name!r} on {model.retires}; try {_offered(provider, today)}")
    return name


def price_of(provider: str, name: str) -> Price | None:
    """The price of a model, or None where it is not known; local models cost nothing."""
    if provider in ("local", "transformers", "scripted"):
        return Price(0.0, 0.0)
    model = _model(provider, name)
    return model.price if model else None


def _model(provider: str, name: str) -> Model | None:
    """The entry of a name, or of the name that a dated snapshot belongs to."""
    models = MODELS.get(provider, {})
    return models.get(name) or models.get(_SNAPSHOT.sub("", name))


def _offered(provider: str, today: date) -> str:
    current = [name for name, model in MODELS[provider].items() if model.retires is None or model.retires >= today]
    return ", ".join(current[:5])
