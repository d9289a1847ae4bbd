"""The batch endpoints of the two vendors, over the adapters that know how to ask and read each of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import anthropic
import openai
from openai.types.chat import ChatCompletion

from meta_learning.errors import CallerError, ConfigurationError, LLMUnavailable, MetaLearningError
from meta_learning.llm import LLM, Reply, Request
from meta_learning.llm.anthropic import AnthropicLLM
from meta_learning.llm.batch_book import Intent
from meta_learning.llm.batch_names import digest_in, sign_in, sign_of, signed
from meta_learning.llm.batch_port import Answers, Batches, Failed, Unsure
from meta_learning.llm.guard import check_calls_allowed
from meta_learning.llm.openai import OpenAILLM
from meta_learning.llm.sdk import call, cause_of, translated

ENDPOINT = "/v1/chat/completions"
NAME = "meta_learning_batch"  # in the metadata of OpenAI's batches: at most 64 characters
# Reasons for which OpenAI fails a whole batch before it asks a question of it, and takes another one later. Not so those that it
# finds in the file or the model (invalid_json_line, url_mismatch, model_mismatch, too_many_tasks, model_not_found, …).
PASSING = ("token_limit_exceeded", "rate_limit_exceeded", "server_error", "internal_error", "batch_limit_exceeded")
# A vendor's clock and ours may differ by so much; a sending that is taken at all is taken within the other time.
CLOCKS_DIFFER_S, SENDING_S = 60.0, 300.0
_OVER = ("completed", "expired", "cancelled")
_PAGE = 100


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


class _Vendor:
    """What the two have in common: how they are called, and how their refusals are heard."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    async def _said(self, method: Any, arguments: dict[str, Any]) -> Any:
        check_calls_allowed(self._llm.provider, self._llm.model)
        try:
            return await call(method, arguments)
        except (anthropic.AnthropicError, openai.OpenAIError, OSError) as error:
            ours = translated(error, self._llm.provider, self._llm.model)
            ours.billed = False  # a batch that was taken is found, and its answers say what they took
            raise ours from cause_of(error)

    async def _taken(self, method: Any, arguments: dict[str, Any]) -> Any:
        """What was said to a sending; `Failed` where it was surely not taken, so that nobody need look for it."""
        try:
            return await self._said(method, arguments)
        except MetaLearningError as error:
            status = getattr(error.__cause__, "status_code", None)
            if isinstance(error, ConfigurationError) or status is None or status >= 500:
                raise
            return Failed(str(error), passing=isinstance(error, LLMUnavailable))

    async def _listed(self, batches: Any, cursor: str, since: float) -> list[Any]:
        """The batches of the account since then, newest first; none where the server keeps no list."""
        found: list[Any] = []
        while True:
            after = {cursor: found[-1].id} if found else {}
            try:
                page = await self._said(batches.list, {"limit": _PAGE} | after)
            except ConfigurationError:
                raise
            except CallerError:
                return found
            found += page.data
            if not page.data or not page.has_more or _seconds(page.data[-1].created_at) < since:
                return found


class AnthropicBatches(_Vendor):
    """Message batches. They have no place for a name: every question's id bears it, which is shown once the batch has ended."""

    def __init__(self, llm: Any) -> None:
        super().__init__(llm)
        self._signs: dict[str, str | None] = {}

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str | Failed:
        """One call with all of them."""
        lines = [
            {"custom_id": signed(name, digest), "params": self._llm.arguments(one)} for digest, one in requests.items()
        ]
        batch = await self._taken(self._batches.create, {"requests": lines})
        return batch if isinstance(batch, Failed) else str(batch.id)

    async def find(self, intent: Intent, known: Collection[str]) -> str | Unsure | None:
        """The batch of this size and time whose questions bear the intent's name; those that go on may be it."""
        since, until = intent.at - CLOCKS_DIFFER_S, intent.at + SENDING_S
        going_on: list[str] = []
        for batch in await self._listed(self._batches, "after_id", since):
            at, count = _seconds(batch.created_at), sum(batch.request_counts.model_dump().values())
            if batch.id in known or not since <= at <= until or count != len(intent.digests):
                continue
            if batch.processing_status != "ended":
                going_on.append(str(batch.id))
            elif await self._sign_of(batch.id) == sign_of(intent.name):
                return str(batch.id)
        return Unsure(tuple(going_on)) if going_on else None

    async def _sign_of(self, batch_id: str) -> str | None:
        """What the questions of a batch that has ended bear; None where its results are not kept any more."""
        if batch_id not in self._signs:
            try:
                results = await self._results(batch_id) or {}
            except CallerError as error:
                _lost(error)
                results = {}
            self._signs[batch_id] = next(map(sign_in, results), None)
        return self._signs[batch_id]

    async def answers(self, batch_id: str) -> Answers | Failed | None:
        """The results, once the batch has ended."""
        try:
            results = await self._results(batch_id)
        except CallerError as error:
            return _lost(error)
        return None if results is None else {digest_in(name): one for name, one in results.items()}

    async def _results(self, batch_id: str) -> Answers | None:
        batch = await self._said(self._batches.retrieve, {"message_batch_id": batch_id})
        if batch.processing_status != "ended":
            return None
        results = await self._said(self._batches.results, {"message_batch_id": batch_id})
        if hasattr(results, "__aiter__"):
            return {one.custom_id: one.result async for one in results}
        return {one.custom_id: one.result for one in results}

    async def cancel(self, batch_id: str) -> None:
        """Call it off."""
        await self._said(self._batches.cancel, {"message_batch_id": batch_id})

    @property
    def _batches(self) -> Any:
        return self._llm.client.messages.batches

    def read(self, answer: Any, request: Request) -> Reply | None:
        """The reply; what may pass and what may not, by the vendor's own names. Nothing else is billed."""
        if answer.type == "succeeded":
            reply: Reply = self._llm.reply(answer.message, request, 0.0)
            return reply
        if answer.type != "errored":
            return None
        said = answer.error.error
        if said.type == "invalid_request_error" and self._llm.learn(said.message, request):
            return None
        passing = said.type in ("overloaded_error", "api_error", "rate_limit_error", "timeout_error")
        raise LLMUnavailable(said.message) if passing else CallerError(f"the request was refused: {said.message}")


class OpenAIBatches(_Vendor):
    """The batch API: a file of requests in, a file of responses out."""

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str | Failed:
        """Upload the requests, and begin; the batch bears ``name``."""
        lines = [_line(digest, self._llm.arguments(one)) for digest, one in requests.items()]
        file = ("batch.jsonl", "".join(lines).encode())
        sent = await self._taken(self._llm.client.files.create, {"file": file, "purpose": "batch"})
        if isinstance(sent, Failed):
            return sent
        begun = {"input_file_id": sent.id, "endpoint": ENDPOINT, "completion_window": "24h", "metadata": {NAME: name}}
        batch = await self._taken(self._llm.client.batches.create, begun)
        return batch if isinstance(batch, Failed) else str(batch.id)

    async def find(self, intent: Intent, known: Collection[str]) -> str | None:
        """The batch that bears the intent's name."""
        listed = await self._listed(self._llm.client.batches, "after", intent.at - CLOCKS_DIFFER_S)
        named = [one for one in listed if (one.metadata or {}).get(NAME) == intent.name]
        return str(named[0].id) if named else None

    async def answers(self, batch_id: str) -> Answers | Failed | None:
        """The responses and errors, once the batch is over."""
        try:
            return await self._responses(batch_id)
        except CallerError as error:
            return _lost(error)

    async def _responses(self, batch_id: str) -> Answers | Failed | None:
        batch = await self._said(self._llm.client.batches.retrieve, {"batch_id": batch_id})
        if batch.status == "failed":
            return _failed(batch)
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

    async def cancel(self, batch_id: str) -> None:
        """Call it off."""
        await self._said(self._llm.client.batches.cancel, {"batch_id": batch_id})

    def read(self, answer: Any, request: Request) -> Reply | None:
        """The reply; what may pass and what may not, by the status of the request. Nothing else is billed."""
        response, error = answer.get("response") or {}, answer.get("error") or {}
        if error.get("code") in ("batch_expired", "batch_cancelled"):
            return None
        status, body = response.get("status_code", 0), response.get("body") or {}
        if status == 200:
            reply: Reply = self._llm.reply(ChatCompletion.model_validate(body), request, 0.0)
            return reply
        said = (body.get("error") or error).get("message", "no reason given")
        if status in (400, 422) and self._llm.learn(said, request):
            return None
        passing = not status or status in (408, 409, 429) or status >= 500
        raise LLMUnavailable(said) if passing else CallerError(f"the request was refused: {said}")


def _failed(batch: Any) -> Failed:
    """Why OpenAI refused a whole batch. A reason that nobody knows may pass: the next batch will tell."""
    errors = (batch.errors.data or []) if batch.errors else []
    said = "; ".join(f"{one.message or one.code}" for one in errors)
    known = {one.code for one in errors if one.code}
    return Failed(said or "no reason given", passing=not known or bool(known & set(PASSING)))


def _lost(error: CallerError) -> Failed:
    """A batch that the vendor does not keep (any longer) brings nothing.

    Raises:
        ConfigurationError: it is the key that was refused.
    """
    if isinstance(error, ConfigurationError):
        raise error
    return Failed(f"the batch is not there: {error}", passing=True)


def _seconds(at: Any) -> float:
    """Seconds since 1970, of a number or a date."""
    return float(at.timestamp() if hasattr(at, "timestamp") else at)


def _line(name: str, body: dict[str, Any]) -> str:
    return json.dumps({"custom_id": name, "method": "POST", "url": ENDPOINT, "body": body}, ensure_ascii=False) + "\n"
