"""The batch endpoints of the two vendors, over the adapters that know how to ask and read each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anthropic
import openai
from openai.types.chat import ChatCompletion

from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable
from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.batching import Answers, Batches
from meta_learning.llm.guard import check_calls_allowed
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.sdk import call, cause_of, translated

ENDPOINT = "/v1/chat/completions"
_OVER = ("completed", "expired", "cancelled")


def batches_of(llm: LLM) -> Batches:
    """The batch endpoint behind an adapter.

    Raises:
        ConfigurationError: its provider has none.
    """
    if isinstance(llm, AnthropicLLM):
        return AnthropicBatches(llm)
    if isinstance(llm, OpenAILLM):
        return OpenAIBatches(llm)
    raise ConfigurationError(f"{llm.provider} takes no batches; anthropic and openai do")


class AnthropicBatches:
    """Message batches."""

    def __init__(self, llm: AnthropicLLM) -> None:
        self._llm = llm

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """One call with all of them."""
        lines = [{"custom_id": name, "params": self._llm.arguments(one)} for name, one in requests.items()]
        batch = await self._said(self._batches.create, {"requests": lines})
        return str(batch.id)

    async def answers(self, batch_id: str) -> Answers | None:
        """The results, once the batch has ended."""
        batch = await self._said(self._batches.retrieve, {"message_batch_id": batch_id})
        if batch.processing_status != "ended":
            return None
        results = await self._said(self._batches.results, {"message_batch_id": batch_id})
        if hasattr(results, "__aiter__"):
            return {one.custom_id: one.result async for one in results}
        return {one.custom_id: one.result for one in results}

    @property
    def _batches(self) -> Any:
        return self._llm.client.messages.batches

    async def _said(self, method: Any, arguments: dict[str, Any]) -> Any:
        check_calls_allowed(self._llm.provider, self._llm.model)
        try:
            return await call(method, arguments)
        except (anthropic.AnthropicError, OSError) as error:
            raise translated(error, self._llm.provider, self._llm.model) from cause_of(error)

    def read(self, answer: Any, request: Request) -> Reply:
        """The reply; what may pass and what may not, by the vendor's own names."""
        if answer.type == "succeeded":
            return self._llm.reply(answer.message, request, 0.0)
        if answer.type != "errored":
            raise LLMUnavailable(f"the request {answer.type} in its batch")
        said = answer.error.error
        passing = said.type in ("overloaded_error", "api_error", "rate_limit_error", "timeout_error")
        raise LLMUnavailable(said.message) if passing else CallerError(f"the request was refused: {said.message}")


class OpenAIBatches:
    """The batch API: a file of requests in, a file of responses out."""

    def __init__(self, llm: OpenAILLM) -> None:
        self._llm = llm

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Upload the requests, and begin."""
        lines = [_line(name, self._llm.arguments(one)) for name, one in requests.items()]
        file = ("batch.jsonl", "".join(lines).encode())
        sent = await self._said(self._llm.client.files.create, {"file": file, "purpose": "batch"})
        begun = {"input_file_id": sent.id, "endpoint": ENDPOINT, "completion_window": "24h"}
        batch = await self._said(self._llm.client.batches.create, begun)
        return str(batch.id)

    async def answers(self, batch_id: str) -> Answers | None:
        """The responses and errors, once the batch is over."""
        batch = await self._said(self._llm.client.batches.retrieve, {"batch_id": batch_id})
        if batch.status == "failed":
            said = "; ".join(one.message or "" for one in (batch.errors.data or [])) if batch.errors else ""
            raise CallerError(f"the batch was refused: {said or 'no reason given'}")
        if batch.status not in _OVER:
            return None
        found: dict[str, Any] = {}
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id:
                text = (await self._said(self._llm.client.files.content, {"file_id": file_id})).text
                # At line feeds only: an answer may hold other characters that Python ends a line at, such as U+2028.
                lines = (json.loads(line) for line in text.split("\n") if line.strip())
                found |= {line["custom_id"]: line for line in lines}
        return found

    async def _said(self, method: Any, arguments: dict[str, Any]) -> Any:
        check_calls_allowed(self._llm.provider, self._llm.model)
        try:
            return await call(method, arguments)
        except (openai.OpenAIError, OSError) as error:
            raise translated(error, self._llm.provider, self._llm.model) from cause_of(error)

    def read(self, answer: Any, request: Request) -> Reply:
        """The reply; what may pass and what may not, by the status of the request."""
        response = answer.get("response") or {}
        status, body = response.get("status_code", 0), response.get("body") or {}
        if status == 200:
            return self._llm.reply(ChatCompletion.model_validate(body), request, 0.0)
        said = (body.get("error") or answer.get("error") or {}).get("message", "no reason given")
        passing = not status or status in (408, 409, 429) or status >= 500
        raise LLMUnavailable(said) if passing else CallerError(f"the request was refused: {said}")


def _line(name: str, body: dict[str, Any]) -> str:
    return json.dumps({"custom_id": name, "method": "POST", "url": ENDPOINT, "body": body}, ensure_ascii=False) + "\n"
