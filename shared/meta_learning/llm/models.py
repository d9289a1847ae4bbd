"""The models that are offered by name, as of one date: defaults, prices, and names that are gone.

Sources: the type lists and deprecation notes in the vendors' SDKs (anthropic 2.12.0, openai 3.54.0); each price says which list it
is from and when that was read; surcharges (data residency, fast processing) are not in it. Adapters take any name, so a model newer
than this table is used by building its adapter by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from meta_learning.errors import UnknownModel
from meta_learning.llm.prices import Listed, Price

TABLE_DATE = date(2026, 11, 22)
# Both vendors sell input and output tokens of a batch at half the price, by the lists below.
BATCH = 0.5
# Both ask a quarter more for a prompt that is written to their cache: Anthropic's of five minutes, OpenAI's of half an hour.
CACHE_WRITE = 1.25
# Above so many tokens OpenAI asks twice as much for a prompt, and half as much again for what is written.
LONG_FROM, LONG, LONG_COMPLETION = 272_000, 2.0, 1.5
ANTHROPIC = Listed(date(2026, 10, 14), "platform.claude.com/docs/en/about-claude/pricing, in genai-prices 0.2.3")
OPENAI = Listed(date(2026, 10, 14), "developers.openai.com/api/docs/pricing, in genai-prices 0.2.3 and litellm 1.109.1")
OPENAI_LATER = Listed(date(2026, 10, 26), OPENAI.where)


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its price where it is known, the last day on which it answers where that is announced, and whether it can hold
    its answers to a JSON schema."""

    price: Price | None = None
    retires: date | None = None
    structured: bool = True


def _openai(prompt: float, completion: float, read: float) -> Price:
    """Of models that take short prompts only, or any at one price; what is written to the cache costs nothing more."""
    return Price(prompt, completion, batch_factor=BATCH, read_factor=read, listed=OPENAI)


def _openai_long(prompt: float, completion: float, read: float, write: float, listed: Listed = OPENAI) -> Price:
    return Price(prompt, completion, LONG_FROM, LONG, BATCH, read, write, LONG_COMPLETION, listed)


DEFAULTS = {
    "anthropic": "claude-haiku-5-5",
    "openai": "gpt-5.4-mini",
    "local": "smollm2-135m-instruct",
    "transformers": "smollm2-135m-instruct",
}

MODELS: dict[str, dict[str, Model]] = {
    "anthropic": {
        "claude-haiku-5-5": Model(Price(0.10, 0.50, 100_000, 5.0, BATCH, 0.1, CACHE_WRITE, listed=ANTHROPIC)),
        "claude-sonnet-5-5": Model(Price(2.0, 10.0, None, 1.0, BATCH, 0.05, CACHE_WRITE, listed=ANTHROPIC)),
        "claude-opus-5-5": Model(Price(4.0, 20.0, None, 1.0, BATCH, 0.05, CACHE_WRITE, listed=ANTHROPIC)),
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
        "claude-opus-4-0": Model(retires=date(2026, 6, 15), structured=False),
        "claude-sonnet-4-0": Model(retires=date(2026, 6, 15), structured=False),
        "claude-3-7-sonnet-latest": Model(retires=date(2026, 2, 19), structured=False),
        "claude-3-5-haiku-latest": Model(retires=date(2026, 2, 19), structured=False),
        "claude-3-opus-20240229": Model(retires=date(2026, 1, 5), structured=False),
        "claude-3-sonnet-20240229": Model(retires=date(2025, 7, 21), structured=False),
    },
    "openai": {
        # Of 17 November: what they ask for long and for cached prompts was not to be read yet.
        "gpt-6.2-astra": Model(),
        "gpt-6-astra": Model(_openai_long(10.0, 50.0, 0.1, CACHE_WRITE)),
        "gpt-6.2-sol": Model(),
        "gpt-6.1-sol": Model(_openai_long(2.0, 10.0, 0.05, CACHE_WRITE)),
        "gpt-6-sol": Model(_openai_long(2.0, 10.0, 0.1, CACHE_WRITE)),
        "gpt-6.1-terra": Model(_openai_long(1.0, 5.0, 0.05, CACHE_WRITE, OPENAI_LATER)),
        "gpt-6-luna": Model(_openai_long(0.10, 0.50, 0.1, CACHE_WRITE)),
        "gpt-5.6-sol": Model(_openai_long(4.0, 20.0, 0.1, CACHE_WRITE)),
        "gpt-5.6-terra": Model(_openai_long(2.0, 12.0, 0.1, CACHE_WRITE)),
        "gpt-5.6-luna": Model(_openai_long(0.20, 1.20, 0.1, CACHE_WRITE)),
        "gpt-5.5": Model(_openai_long(5.0, 30.0, 0.1, 1.0)),
        "gpt-5.4": Model(_openai_long(2.50, 15.0, 0.1, 1.0)),
        "gpt-5.4-mini": Model(_openai(0.75, 4.50, 0.1)),
        "gpt-5.2": Model(_openai(1.75, 14.0, 0.1)),
        "gpt-5.4-nano": Model(_openai(0.20, 1.25, 0.1), retires=date(2027, 4, 1)),
        "gpt-5.1": Model(_openai(1.25, 10.0, 0.1), retires=date(2027, 4, 1)),
        # What these ask for prompts out of the cache in a batch is not listed: they are entered as if they knew no cache.
        "gpt-4.1": Model(_openai(2.0, 8.0, 1.0), retires=date(2027, 1, 14)),
        "gpt-4.1-mini": Model(_openai(0.40, 1.60, 1.0), retires=date(2027, 1, 14)),
        "gpt-4o": Model(_openai(2.50, 10.0, 1.0), retires=date(2027, 1, 14)),
        "gpt-4o-mini": Model(_openai(0.15, 0.60, 1.0), retires=date(2027, 1, 14)),
        "gpt-5": Model(_openai(1.25, 10.0, 0.1), retires=date(2026, 12, 11)),
        "gpt-5-mini": Model(_openai(0.25, 2.0, 0.1), retires=date(2026, 12, 11)),
        "gpt-5-nano": Model(_openai(0.05, 0.40, 0.1), retires=date(2026, 12, 11)),
        "o3": Model(_openai(2.0, 8.0, 1.0), retires=date(2026, 12, 11)),
        "gpt-4.1-nano": Model(retires=date(2026, 10, 23)),
        "o4-mini": Model(retires=date(2026, 10, 23)),
        "o3-mini": Model(retires=date(2026, 10, 23)),
        "gpt-4": Model(retires=date(2026, 10, 23), structured=False),
        "gpt-3.5-turbo": Model(retires=date(2026, 10, 23), structured=False),
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


def takes_schema(provider: str, name: str) -> bool:
    """Whether a vendor's model holds its answers to a JSON schema: all but old ones do; of a new name it is found out by asking.

    >>> takes_schema("openai", "gpt-5.4-mini"), takes_schema("openai", "gpt-4"), takes_schema("local", "smollm2-135m-instruct")
    (True, False, False)
    """
    model = _model(provider, name)
    return provider in ("anthropic", "openai") and (model is None or model.structured)


def _model(provider: str, name: str) -> Model | None:
    """The entry of a name, or of the name that a dated snapshot belongs to."""
    models = MODELS.get(provider, {})
    return models.get(name) or models.get(_SNAPSHOT.sub("", name))


def _offered(provider: str, today: date) -> str:
    current = [name for name, model in MODELS[provider].items() if model.retires is None or model.retires >= today]
    return ", ".join(current[:5])
