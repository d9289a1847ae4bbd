"""OpenAI's chat completions, as far as the clients of this comparison use them: from a body to a question, and back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.llm_server.records import Recording
from meta_learning.llm import Message, Request

TOKENS_DEFAULT = 512
# A task of classification is answered in a word; whoever writes prompts needs more.
TASK_TOKENS_MAX = 16
RANKED_MAX = 1000
# Choices of one request must not meet those of the next seed.
CHOICES_MAX = 1024


class Part(BaseModel):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class Said(BaseModel):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None

    @property
    def text(self) -> str:
        """Its parts as one text."""
        return "".join(part.text for part in self.content) if isinstance(self.content, list) else self.content or ""


class Body(BaseModel):
    """A request; fields that are not named here are ignored."""

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[Said], Field(min_length=1)]
    model: str = "local"
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: Annotated[int, Field(ge=1, le=CHOICES_MAX)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=RANKED_MAX)] | None = None
    stream: Literal[False] | None = None

    @property
    def tokens_max(self) -> int:
        """The limit on an answer, under whichever name."""
        return self.max_completion_tokens or self.max_tokens or TOKENS_DEFAULT

    @property
    def ranked_count(self) -> int:
        """How many first tokens are asked for."""
        return (self.top_logprobs or 0) if self.logprobs else 0

    def request(self, temperature_default: float, sample: int) -> Request:
        """The question to the model, without its sample where nothing is random."""
        temperature = temperature_default if self.temperature is None else self.temperature
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Request(
            messages=tuple(Message(_role(said.role), said.text) for said in self.messages),
            max_tokens=self.tokens_max,
            temperature=temperature,
            stop=stop,
            sample=sample if temperature > 0.0 else 0,
        )


def purpose_of(body: Body, header: str | None) -> str:
    """What a call is for: as the caller says, else by the length that it allows."""
    return header or ("task" if body.tokens_max <= TASK_TOKENS_MAX else "proposer")


def completion(body: Body, model: str, answers: Sequence[Recording]) -> dict[str, Any]:
    """The reply; the prompt's tokens are counted once."""
    said = sum(answer.completion_tokens for answer in answers)
    asked = answers[0].prompt_tokens
    return {
        "id": f"chatcmpl-{time.time_ns():x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [_choice(body, number, answer) for number, answer in enumerate(answers)],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


def refusal(message: str, kind: str, field: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's SDKs read it."""
    return {"error": {"message": message, "type": kind, "param": field, "code": kind}}


def _choice(body: Body, number: int, answer: Recording) -> dict[str, Any]:
    return {
        "index": number,
        "message": {"role": "assistant", "content": answer.text, "refusal": None},
        "finish_reason": "stop" if answer.ended else "length",
        "logprobs": _logprobs(body, answer) if body.logprobs else None,
    }


def _logprobs(body: Body, answer: Recording) -> dict[str, Any]:
    first = [
        {"token": token, "logprob": logprob, "bytes": list(token.encode())}
        for token, logprob in answer.first_tokens or ()
    ]
    return {"content": [{**first[0], "top_logprobs": first[: body.ranked_count]}] if first else [], "refusal": None}


def _role(role: str) -> Literal["system", "user", "assistant"]:
    return "assistant" if role == "assistant" else "user" if role == "user" else "system"
