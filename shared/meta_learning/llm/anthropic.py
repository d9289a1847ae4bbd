"""Anthropic's messages API, through its current SDK (2.x), which takes no sampling parameters at all."""

from __future__ import annotations

import time
from typing import Any

import anthropic

from meta_learning.errors import CallerError, ConfigurationError, ParameterRefused
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.estimate import most_tokens
from meta_learning.llm.first import FirstAlone
from meta_learning.llm.guard import check_calls_allowed
from meta_learning.llm.models import current_model, takes_schema
from meta_learning.llm.sdk import call, cause_of, counted, refuses_schema, translated

_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")


class AnthropicLLM:
    """Answers through ``client`` (async or not), or through a client of its own.

    ``temperature`` is never sent: API version 2026-10-21 refuses it, and every reply says ``sampling="not_accepted"`` when
    one was asked for. A schema that the server refuses (HTTP 400 or 422 naming it) is left out from then on, as
    `ParameterRefused` tells whoever asked. The SDK's hidden retries are switched off.
    """

    provider = "anthropic"

    def __init__(
        self,
        model: str | None = None,
        *,
        client: anthropic.AsyncAnthropic | anthropic.Anthropic | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._owns_client = client is None
        self.client: Any = (
            client.with_options(max_retries=0)
            if client is not None
            else anthropic.AsyncAnthropic(api_key=api_key, base_url=base_url, timeout=timeout_s, max_retries=0)
        )
        self.model = current_model(self.provider, model) if model is None else model
        structured = takes_schema(self.provider, self.model)
        self.capabilities = Capabilities(temperature=False, concurrency_max=4, structured=structured)
        self._refuses_schema = False
        self._first = FirstAlone()

    async def complete(self, request: Request) -> Reply:
        """One attempt."""
        check_calls_allowed(self.provider, self.model)
        return await self._first.ask(
            lambda: self.arguments(request).keys() & {"output_config"}, lambda: self._attempt(request)
        )

    async def _attempt(self, request: Request) -> Reply:
        started = time.perf_counter()
        try:
            arguments = self.arguments(request)
            answer = await call(self.client.messages.create, arguments)
        except TypeError as error:
            # The SDK complains about missing credentials with a bare TypeError, when the call is made.
            if "authentication" not in str(error):
                raise
            raise ConfigurationError("Anthropic needs a key: set ANTHROPIC_API_KEY") from None
        except (anthropic.AnthropicError, OSError) as error:
            refusal = isinstance(error, anthropic.BadRequestError | anthropic.UnprocessableEntityError)
            if refusal and "output_config" in arguments and (named := self.learn(str(error), request)):
                raise ParameterRefused(f"{self.provider} ({self.model}) refuses {named}") from None
            raise translated(error, self.provider, self.model) from cause_of(error)
        return self.reply(answer, request, time.perf_counter() - started)

    async def close(self) -> None:
        """Close the connections of an own client; a client that was given stays the giver's."""
        if self._owns_client:
            await self.client.close()

    def arguments(self, request: Request) -> dict[str, Any]:
        """What is sent for a request."""
        system = "\n\n".join(message.text for message in request.messages if message.role == "system")
        turns = [message for message in request.messages if message.role != "system"]
        messages: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in turns]
        # Instructions and examples are the stable prefix of every call for a prompt: worth a place in the provider's cache.
        if len(messages) > 1:
            messages[-2]["content"] = _kept(turns[-2].text)
        arguments: dict[str, Any] = {"model": self.model, "max_tokens": request.max_tokens, "messages": messages}
        if system:
            arguments["system"] = _kept(system)
        if request.stop:
            arguments["stop_sequences"] = list(request.stop)
        if request.schema is not None and not self._refuses_schema:
            schema = anthropic.transform_schema(dict(request.schema))
            arguments["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return arguments

    def learn(self, said: str, request: Request) -> str:
        """What a server refuses of a request that it was sent, alone or in a batch, left out from now on; "" for nothing."""
        if request.schema is None or not refuses_schema(said):
            return ""
        self._refuses_schema = True
        return "output_config"

    def reply(self, answer: Any, request: Request, latency_s: float) -> Reply:
        """What an answer of the vendor says.

        Raises:
            LLMUnavailable, CallerError: it says nothing.
        """
        text = "".join(block.text for block in answer.content or () if block.type == "text")
        usage = answer.usage
        tokens = counted(usage, ("input_tokens", *_CACHED), "output_tokens")
        if not text and answer.stop_reason in ("max_tokens", "refusal"):
            said = f"{self.model} said nothing ({answer.stop_reason}) within {request.max_tokens} tokens"
            raise CallerError(said, billed=tokens or True)
        prompt_tokens, completion_tokens = tokens or most_tokens(request)
        return Reply(
            text=text,
            model=self.model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cache_read_tokens=getattr(usage, _CACHED[0], None) or 0,
            cache_write_tokens=getattr(usage, _CACHED[1], None) or 0,
            estimated=tokens is None,
            latency_s=latency_s,
            sampling="as_asked" if request.temperature is None else "not_accepted",
            structured=request.schema is not None and not self._refuses_schema,
        )


def _kept(text: str) -> list[dict[str, Any]]:
    """A text up to whose end the provider is to keep what it has read."""
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
