"""OpenAI's chat completions, and every server that speaks them: vLLM, llama.cpp, Ollama, Cohere's compatibility endpoint."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import openai

from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable, ParameterRefused
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.estimate import most_tokens
from meta_learning.llm.first import FirstAlone
from meta_learning.llm.guard import check_calls_allowed
from meta_learning.llm.labels import label_logprobs
from meta_learning.llm.models import current_model, takes_schema
from meta_learning.llm.sdk import call, cause_of, counted, refuses_schema, translated

# The most that OpenAI's own endpoint accepts, and what servers with a lower bound do.
ALTERNATIVES_COUNTS = (20, 5)
_TOO_MANY = re.compile(r"\b(max|maximum|greater|less|at most|between|exceed\w*)\b", re.IGNORECASE)
_OPTIONAL = ("temperature", "logprobs", "top_logprobs", "stop")


class OpenAILLM:
    """Answers through ``client`` (async or not), or through a client of its own for ``base_url`` and ``api_key``.

    What an endpoint accepts is found out by asking: a parameter that is refused (HTTP 400 or 422 naming it) is left out from then
    on, and whoever asked asks again (`ParameterRefused`), so that a ledger sees every request. The first request with a parameter goes
    alone (`FirstAlone`), so that a refusal is heard once. Any model name is allowed away from
    OpenAI's own address. The SDK's hidden retries are switched off.
    """

    provider = "openai"

    def __init__(
        self,
        model: str | None = None,
        *,
        client: openai.AsyncOpenAI | openai.OpenAI | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._owns_client = client is None
        self.client = _without_retries(client, base_url, api_key, timeout_s)
        self._is_vendor = self.client.base_url.host.endswith("openai.com")
        if model is None and not self._is_vendor:
            raise ConfigurationError(f"say which model: nothing is known about the server at {self.client.base_url}")
        self.model = current_model(self.provider, model) if model is None else model
        self.capabilities = Capabilities(
            temperature=True,
            concurrency_max=8,
            # Other servers may take a schema and pay no heed to it.
            structured=self._is_vendor and takes_schema(self.provider, self.model),
            extras={"label_logprobs": "ask"},
        )
        self._refused: set[str] = set()
        self._first = FirstAlone()
        self._alternatives_count = ALTERNATIVES_COUNTS[0]
        # OpenAI deprecated the one name, most other servers do not know the other and would generate to the end.
        self._limit = self._limit_first = "max_completion_tokens" if self._is_vendor else "max_tokens"

    async def complete(self, request: Request) -> Reply:
        """One attempt, one request."""
        check_calls_allowed(self.provider, self.model)
        return await self._first.ask(lambda: self.arguments(request).keys(), lambda: self._attempt(request))

    async def _attempt(self, request: Request) -> Reply:
        started = time.perf_counter()
        arguments = self.arguments(request)
        try:
            answer = await call(self.client.chat.completions.create, arguments)
        except (openai.OpenAIError, OSError) as error:
            refusal = isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError)
            if refusal and (named := self._refused_in(str(error), arguments)):
                raise ParameterRefused(f"{self.provider} ({self.model}) refuses {named}") from None
            raise translated(error, self.provider, self.model) from cause_of(error)
        return self.reply(answer, request, time.perf_counter() - started)

    async def close(self) -> None:
        """Close the connections of an own client; a client that was given stays the giver's."""
        if self._owns_client:
            closed = self.client.close()
            if closed is not None:
                await closed

    def arguments(self, request: Request) -> dict[str, Any]:
        """What is sent for a request."""
        wanted = self._wanted(request, self._limit, self._alternatives_count)
        return {name: value for name, value in wanted.items() if name not in self._refused}

    def learn(self, said: str, request: Request) -> str:
        """What a server refuses of a request that it was sent (HTTP 400 or 422 saying so), left out from now on; "" for nothing.

        The request may have gone out in a batch, by an adapter that knew nothing yet, before or after this one had learnt.
        """
        return self._refused_in(said, self._wanted(request, self._limit_first, ALTERNATIVES_COUNTS[0]))

    def _wanted(self, request: Request, limit: str, alternatives_count: int) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            limit: request.max_tokens,
        }
        if request.temperature is not None:
            wanted["temperature"] = request.temperature
        if request.stop:
            wanted["stop"] = list(request.stop)
        if request.labels:
            wanted |= {"logprobs": True, "top_logprobs": alternatives_count}
        if request.schema is not None:
            held = {"name": "reply", "schema": dict(request.schema), "strict": True}
            wanted["response_format"] = {"type": "json_schema", "json_schema": held}
        return wanted

    def _refused_in(self, said: str, arguments: dict[str, Any]) -> str:
        """What the server refuses of ``arguments``, learnt for later requests; several that were on their way may say the same."""
        if "max_tokens" in arguments and "max_completion_tokens" in said:  # Azure, for example
            self._limit = "max_completion_tokens"
            return "max_tokens"
        fewer = [count for count in ALTERNATIVES_COUNTS if count < arguments.get("top_logprobs", 0)]
        if "logprobs" in said and _TOO_MANY.search(said) and fewer:
            self._alternatives_count = min(fewer[0], self._alternatives_count)
            return f"top_logprobs={arguments['top_logprobs']}"
        named = {name for name in _OPTIONAL if name in arguments and name in said}
        if named & {"logprobs", "top_logprobs"}:
            named |= {"logprobs", "top_logprobs"}
        if "response_format" in arguments and refuses_schema(said):
            named.add("response_format")
        self._refused |= named
        self.capabilities = replace(self.capabilities, temperature="temperature" not in self._refused)
        return ", ".join(sorted(named))

    def reply(self, answer: Any, request: Request, latency_s: float) -> Reply:
        """What an answer of the vendor says.

        Raises:
            LLMUnavailable, CallerError: it says nothing.
        """
        if not getattr(answer, "choices", None):
            raise LLMUnavailable(f"{self.provider} ({self.model}) answered something that is no reply", billed=True)
        choice, usage = answer.choices[0], answer.usage
        tokens = counted(usage, ("prompt_tokens",), "completion_tokens")
        text = choice.message.content or ""
        if not text and choice.finish_reason in ("length", "content_filter"):
            said = f"{self.model} said nothing ({choice.finish_reason}) within {request.max_tokens} tokens"
            raise CallerError(said, billed=tokens or True)
        prompt_tokens, completion_tokens = tokens or most_tokens(request)
        scored = label_logprobs(_first_token(choice), request.labels) if request.labels else None
        if scored is not None:
            self.capabilities = replace(self.capabilities, label_logprobs=True)
        refused = request.temperature is not None and "temperature" in self._refused
        return Reply(
            text=text,
            model=self.model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            estimated=tokens is None,
            cache_read_tokens=_cached(usage, "cached_tokens"),
            cache_write_tokens=_cached(usage, "cache_write_tokens"),
            latency_s=latency_s,
            label_logprobs=scored,
            sampling="not_accepted" if refused else "as_asked",
            structured=request.schema is not None and "response_format" not in self._refused,
        )


def _cached(usage: Any, name: str) -> int:
    """Of the prompt's tokens those that the server read from its cache or put there; few servers say so."""
    return getattr(getattr(usage, "prompt_tokens_details", None), name, None) or 0


def _without_retries(client: Any, base_url: str | None, api_key: str | None, timeout_s: float) -> Any:
    if client is not None:
        return client.with_options(max_retries=0)
    try:
        # Local servers want no key, but the SDK wants a string.
        key = api_key or ("none" if base_url else None)
        return openai.AsyncOpenAI(api_key=key, base_url=base_url, timeout=timeout_s, max_retries=0)
    except openai.OpenAIError:
        raise ConfigurationError(
            "OpenAI needs a key: set OPENAI_API_KEY, or give the base URL of another server"
        ) from None


def _first_token(choice: Any) -> list[tuple[str, float]]:
    if not choice.logprobs:
        return []
    if choice.logprobs.content:
        return [(one.token, one.logprob) for one in choice.logprobs.content[0].top_logprobs]
    # The form of the old completions, which some servers (llama-cpp-python until 2024) give in chats as well.
    old = getattr(choice.logprobs, "top_logprobs", None)
    return list(old[0].items()) if old and isinstance(old[0], dict) else []
