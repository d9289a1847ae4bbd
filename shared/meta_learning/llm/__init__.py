"""The port to language models: one request in, one reply out. Adapters: `anthropic`, `openai`, `local`, `batched`, `scripted`.

>>> import asyncio
>>> from meta_learning.llm.scripted import ScriptedLLM
>>> llm = ScriptedLLM(lambda request: "positive")
>>> asyncio.run(llm.complete(Request(messages=(Message("user", "I love it"),)))).text
'positive'
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

Purpose = Literal["task", "proposer", "judge", "probe"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    ``temperature`` is a wish: an adapter leaves it out where the model refuses it, and the reply's ``sampling`` says so.
    ``labels``: ask for the log-probability of each of these answers, where `Capabilities.label_logprobs` says that works.
    ``schema``: hold the answer to this JSON schema (a plain dictionary: a pydantic model's `model_json_schema()`, say, which forbids
    other fields), where `Capabilities.structured` says that works; the reply's ``structured`` says whether it was.
    ``sample``: number of this sample among equal requests; part of the identity, so that repeats are asked again.
    """

    messages: tuple[Message, ...]
    purpose: Purpose = "task"
    max_tokens: int = 64
    temperature: float | None = 0.0
    stop: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    sample: int = 0
    schema: Mapping[str, Any] | None = field(default=None, hash=False)

    def digest(self, provider: str, model: str) -> str:
        """Identity of this request to this model: the key of caches and journals."""
        said = {"provider": provider, "model": model, **asdict(self)}
        if self.schema is None:
            del said["schema"]  # so was every request of earlier releases: their recorded answers stay good
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``label_logprobs`` is None where the endpoint gives none; ``cached`` says that nothing was paid.

    ``batched``: it came out of a batch, at the price of one. Of the prompt's tokens, ``cache_read_tokens`` were read out of
    the vendor's own cache, and ``cache_write_tokens`` put there. ``estimated``: the server did not say its tokens; these are the
    most that it can have taken. ``structured``: it was held to the request's schema.
    """

    text: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    label_logprobs: Mapping[str, float] | None = None
    sampling: Literal["as_asked", "not_accepted"] = "as_asked"
    cached: bool = False
    batched: bool = False
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
    structured: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider and model accept: asked, never assumed.

    ``structured``: it is known to hold answers to a JSON schema. It is not taken back where a server refuses one after all (then
    replies say so), so that a resumed run asks what the unbroken one asked.
    ``extras``: ``label_logprobs`` is ``ask`` where only a call can tell; ``concurrency_sure`` is how many calls at once are
    certain, where ``concurrency_max`` counts on helpers or batches; ``batch_wait_s`` is how long a batch may take.
    """

    temperature: bool = False
    label_logprobs: bool = False
    concurrency_max: int = 4
    structured: bool = False
    extras: Mapping[str, str] = field(default_factory=dict)


class LLM(Protocol):
    """A language model. Implementations make no call before `complete`, and raise only the errors named there."""

    provider: str
    model: str
    capabilities: Capabilities

    async def complete(self, request: Request) -> Reply:
        """Answer ``request``; one attempt, no retry (`meta_learning.llm.retry` does that, and counts it).

        Raises:
            LLMUnavailable: no answer for a reason that may pass: refused connection, time-out, rate limit, overload.
            ParameterRefused: the server refuses an optional parameter; asked again, the request goes out without it.
            UnknownModel: the provider does not know the model.
            ConfigurationError: the key is missing or refused.
            CallerError: the request itself is refused.
        """

    async def close(self) -> None:
        """Give back connections and memory; harmless when called twice."""


def wrap(client: Any, model: str | None = None) -> LLM:
    """A vendor's client (or an `LLM`, as it is) as this port; see `meta_learning.llm.wrapping.wrap`."""
    from meta_learning.llm import wrapping

    return wrapping.wrap(client, model)


def connect(provider: str, model: str | None = None, base_url: str | None = None, api_key: str | None = None) -> LLM:
    """An adapter by its provider's name; see `meta_learning.llm.wrapping.connect`."""
    from meta_learning.llm import wrapping

    return wrapping.connect(provider, model, base_url, api_key)
