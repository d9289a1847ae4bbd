"""What the two vendors' SDKs have in common: how their exceptions become ours, and clients that are not async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable, MetaLearningError, UnknownModel

_AUTH = (401, 403)
_PASSING = frozenset({408, 409, 429})
# Says itself that it did not begin: the vendor is overloaded.
_OVERLOADED = 529
# By the names of both HTTP libraries that the SDKs take: no byte of the request has reached the server.
_UNSENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "ConnectionRefusedError",
        "gaierror",
    }
)
_SCHEMA = ("response_format", "output_config", "output_format", "json_schema", "structured output")
_SPENT = ("SpendLimit", "PaymentRequired", "insufficient_quota", "billing_hard_limit")


async def call(method: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call an SDK method of an async client in place, of a plain client in a thread."""
    if inspect.iscoroutinefunction(inspect.unwrap(method)):
        return await method(**arguments)
    answer = await asyncio.to_thread(method, **arguments)
    return await answer if inspect.isawaitable(answer) else answer


def translated(error: Exception, provider: str, model: str) -> MetaLearningError:
    """Our error for an SDK's: what may pass, what is refused, what is misconfigured; raise it from `cause_of` the SDK's.

    A time-out, a connection that was lost and an error of the server (5xx) may be billed; what was refused is not.
    """
    status = getattr(error, "status_code", None)
    who = f"{provider} ({model})"
    if status is None:
        # Of both SDKs, time-outs are a kind of connection error.
        if isinstance(error, OSError) or any("ConnectionError" in kind.__name__ for kind in type(error).__mro__):
            return LLMUnavailable(f"{who} cannot be reached: {type(error).__name__}", billed=not _is_unsent(error))
        if "ResponseValidation" in type(error).__name__:
            return LLMUnavailable(f"{who} answered something that is no reply", billed=True)
        return ConfigurationError(f"{who}: the client cannot be used: {type(error).__name__}; is a key set?")
    if status in _AUTH:
        return ConfigurationError(f"{who} refused the key (HTTP {status})")
    named = f"{type(error).__name__} {getattr(error, 'code', '')} {getattr(error, 'body', '')}"
    if any(sign in named for sign in _SPENT):
        return ConfigurationError(f"{who}: the account has reached its spending limit; a retry would not help")
    if status == 404 or (status == 400 and _blames_model(str(error))):
        return UnknownModel(f"{provider} knows no model {model!r} at this address (HTTP {status})")
    if status in _PASSING or status >= 500:
        worked = status >= 500 and status != _OVERLOADED
        return LLMUnavailable(f"{who} did not answer (HTTP {status})", _retry_after_s(error), billed=worked)
    return CallerError(f"{who} refused the request (HTTP {status}): {str(error)[:300]}")


def counted(usage: Any, prompt: tuple[str, ...], completion: str) -> tuple[int, int] | None:
    """The tokens of the prompt (the sum of these names) and of the answer; None where the server does not count, or not in earnest."""
    asked = sum(getattr(usage, name, None) or 0 for name in prompt)
    return (asked, getattr(usage, completion, None) or 0) if asked else None


def cause_of(error: Exception) -> Exception | None:
    """``error``, or None for a refused key: vendors quote parts of the key, and a logged traceback would show them."""
    return None if getattr(error, "status_code", None) in _AUTH else error


def refuses_schema(said: str) -> bool:
    """Whether a refusal is about holding the answer to a schema, by the vendors' names for that."""
    said = said.lower()
    return any(sign in said for sign in _SCHEMA)


def _is_unsent(error: BaseException) -> bool:
    names = {kind.__name__ for one in (error, error.__cause__) for kind in type(one).__mro__}
    return bool(names & _UNSENT)


def _blames_model(said: str) -> bool:
    said = said.lower()
    return "model" in said and any(sign in said for sign in ("does not exist", "not found", "unknown model"))


def _retry_after_s(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", {})
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    return None
