"""Which model answers a run, what it may cost, and how its calls are counted."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from meta_learning.acla.request import EvolutionSettings
from meta_learning.errors import ConfigurationError, MetaLearningError
from meta_learning.llm import LLM, Capabilities, Reply, Request
from meta_learning.llm.ledger import Caps
from meta_learning.llm.models import price_of
from meta_learning.llm.wrapping import served_model
from services.evolver.settings import EvolverSettings

Provider = Literal["anthropic", "openai", "local", "transformers"]
Count = Callable[[dict[str, float]], None]


def provider_of(asked: EvolutionSettings, settings: EvolverSettings) -> Provider:
    """Who answers: what the request says, else what the service says, else whoever has a key, else the local model."""
    for wish in (asked.provider, settings.llm_provider):
        if wish != "auto":
            return wish
    if settings.anthropic_api_key:
        return "anthropic"
    return "openai" if settings.openai_api_key or settings.openai_base_url else "local"


def connect_model(asked: EvolutionSettings, settings: EvolverSettings) -> LLM:
    """The adapter, with the service's key and address; a request can name neither.

    Raises:
        ConfigurationError: no key, or the provider's package is missing.
        UnknownModel: the provider has no such model.
    """
    provider, model = provider_of(asked, settings), asked.model_name or settings.llm_model
    try:
        if provider == "anthropic":
            from meta_learning.llm.anthropic import AnthropicLLM

            key = settings.anthropic_api_key.get_secret_value() if settings.anthropic_api_key else None
            return AnthropicLLM(served_model(provider, model), api_key=key, timeout_s=settings.llm_timeout_s)
        if provider == "openai":
            from meta_learning.llm.openai import OpenAILLM

            key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
            name = model if settings.openai_base_url else served_model(provider, model)
            return OpenAILLM(name, base_url=settings.openai_base_url, api_key=key, timeout_s=settings.llm_timeout_s)
        if provider == "transformers":
            from meta_learning.llm.batched.provider import TransformersLLM

            source = model if model and Path(model).exists() else served_model(provider, model)
            return TransformersLLM(source, threads_count=settings.local_threads_count)
        from meta_learning.llm.local import LocalLLM

        # On 2 cores that others used as well, a call took 3.9 s with 2 threads and 0.4 s with 1.
        threads_count = settings.local_threads_count or max(1, (os.cpu_count() or 2) // 2)
        file = model if model and Path(model).suffix == ".gguf" else served_model(provider, model)
        return LocalLLM(file, threads_count=threads_count)
    except ImportError as missing:
        raise ConfigurationError(f"provider {provider} needs a package: pip install {missing.name}") from None


def limits_of(asked: EvolutionSettings, settings: EvolverSettings, llm: LLM) -> Caps:
    """The request's budget, never above the service's. The service's cap on money binds only where a price is known.

    Raises:
        ConfigurationError: the request caps money, and nobody knows what this model costs.
    """
    money = [asked.budget.money_usd]
    if price_of(llm.provider, llm.model) is not None:
        money.append(settings.evolution_money_max_usd)
    elif asked.budget.money_usd is not None:
        raise ConfigurationError(f"budget.money_usd is set, but no price of {llm.model} ({llm.provider}) is known")
    return Caps(
        calls=min(asked.budget.calls, settings.evolution_calls_max),
        tokens=asked.budget.tokens,
        seconds=min(asked.budget.seconds, settings.evolution_seconds_max),
        money_usd=min((cap for cap in money if cap is not None), default=None),
    )


def _cost(provider: str, reply: Reply) -> float:
    price = price_of(provider, reply.model)
    return 0.0 if price is None else price.of_reply(reply)


class CountedLLM:
    """``llm`` with every call that really goes out counted for the service; the run's log and its caps lie above it."""

    def __init__(self, llm: LLM, count: Count, concurrency_max: int | None = None) -> None:
        self.provider, self.model = llm.provider, llm.model
        self._llm, self._count, self._concurrency_max = llm, count, concurrency_max
        self.capabilities = self._limited()

    async def complete(self, request: Request) -> Reply:
        """Answer, and count the call by its purpose; a failed one counts as well."""
        who = f"{self.provider}|{request.purpose}"
        try:
            reply = await self._llm.complete(request)
        except MetaLearningError:
            self._count({f"calls|{who}": 1, f"failures|{who}": 1})
            raise
        self.capabilities = self._limited()  # some are only learnt by asking
        counts: dict[str, float] = {
            f"calls|{who}": 1,
            f"prompt_tokens|{who}": reply.prompt_tokens,
            f"completion_tokens|{who}": reply.completion_tokens,
            f"money|{who}": _cost(self.provider, reply),
        }
        self._count(counts)
        return reply

    async def close(self) -> None:
        """Close the model within."""
        await self._llm.close()

    def _limited(self) -> Capabilities:
        can = self._llm.capabilities
        return can if self._concurrency_max is None else replace(can, concurrency_max=self._concurrency_max)
