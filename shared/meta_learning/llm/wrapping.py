"""From whatever a caller has (a vendor's client, our port, a provider's name) to our port; SDKs are imported only then."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from meta_learning.errors import CallerError, ConfigurationError
from meta_learning.llm import LLM
from meta_learning.llm.models import PROVIDERS, TABLE_DATE, current_model


def wrap(client: Any, model: str | None = None) -> LLM:
    """``client`` as our port: an (Async)Anthropic or (Async)OpenAI client of the current SDKs, or an `LLM` as it is.

    ``model`` is checked against the table of current models, except for OpenAI-compatible servers elsewhere.

    Raises:
        UnknownModel: the vendor has no such model, or has retired it.
        CallerError: the client is of no kind we know.
    """
    if hasattr(client, "complete") and hasattr(client, "capabilities"):
        port: LLM = client
        return port
    vendor = _vendor(client)
    if vendor == "openai":
        from meta_learning.llm.openai import OpenAILLM

        elsewhere = not client.base_url.host.endswith("openai.com")
        return OpenAILLM(model if elsewhere else served_model("openai", model), client=client)
    if vendor == "anthropic":
        from meta_learning.llm.anthropic import AnthropicLLM

        return AnthropicLLM(served_model("anthropic", model), client=client)
    raise CallerError(f"a {type(client).__name__} is no client of the anthropic or openai SDK, and has no `complete`")


def connect(provider: str, model: str | None = None, base_url: str | None = None, api_key: str | None = None) -> LLM:
    """An adapter by its provider's name: ``anthropic``, ``openai`` (``base_url`` for another server), ``local`` or ``transformers``.

    Without ``api_key``, keys come from where the SDKs look for them; a server elsewhere is never sent OpenAI's.

    Raises:
        ConfigurationError: no such provider, no key, or the provider's package is missing.
        UnknownModel: the provider has no such model.
    """
    try:
        if provider == "anthropic":
            from meta_learning.llm.anthropic import AnthropicLLM

            return AnthropicLLM(served_model(provider, model), base_url=base_url, api_key=api_key)
        if provider == "openai":
            from meta_learning.llm.openai import OpenAILLM

            return OpenAILLM(model if base_url else served_model(provider, model), base_url=base_url, api_key=api_key)
    except ImportError as missing:
        raise ConfigurationError(f"provider {provider!r} needs a package: pip install {missing.name}") from None
    if provider == "local":
        from meta_learning.llm.local import LocalLLM

        return LocalLLM(model if model and Path(model).suffix == ".gguf" else current_model(provider, model))
    if provider == "transformers":
        from meta_learning.llm.batched.provider import TransformersLLM

        return TransformersLLM(model if model and Path(model).exists() else current_model(provider, model))
    raise ConfigurationError(f"no provider {provider!r}; there are {', '.join(PROVIDERS)}")


def served_model(provider: str, model: str | None) -> str:
    """`current_model`, judged by today: the table's date says only what was known then, and announced retirements lie after it."""
    return current_model(provider, model, max(TABLE_DATE, date.today()))


def _vendor(client: Any) -> str | None:
    modules = {kind.__module__.split(".")[0] for kind in type(client).__mro__}
    return next((name for name in ("openai", "anthropic") if name in modules), None)
