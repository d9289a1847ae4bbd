"""What an unknown server does with a request, found out by looking: caps on tokens, and instructions in a turn of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from meta_learning.errors import CallerError
from meta_learning.llm import Message, Reply, Request

Ask = Callable[[Request], Awaitable[Reply | CallerError]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is known of a server; None where nothing could be told. ``label_logprobs``: answers are scored by label.

    ``system_role`` False: instructions of their own are refused, or silently dropped, and so stand in the user's turn.
    """

    label_logprobs: bool
    keeps_max_tokens: bool | None = None
    system_role: bool | None = None

    def report(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def joined(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same with the instructions at the head of the first user's turn, for a server that hears them in no turn of their own.

    >>> joined((Message("system", "Judge it."), Message("user", "nice")))
    (Message(role='user', text='Judge it.\\n\\nnice'),)
    """
    told = [one.text for one in messages if one.role == "system"]
    first, *others = [one for one in messages if one.role != "system"]
    return (Message(first.role, "\n\n".join([*told, first.text])), *others)


def keeps_max_tokens(request: Request, reply: Reply | CallerError) -> bool | None:
    """Whether the reply is as short as was asked; some servers ignore the name of the parameter and generate to the end."""
    if not isinstance(reply, Reply) or reply.estimated or not reply.completion_tokens:
        return None
    return reply.completion_tokens <= request.max_tokens


def told_twice(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same with the instructions twice, so that a server that hears them counts more tokens.

    Without any they could not be compared: many chat templates (Qwen2.5, SmolLM2) then put in instructions of their own.

    >>> told_twice((Message("system", "Judge it."), Message("user", "nice")))[0]
    Message(role='system', text='Judge it.\\n\\nJudge it.')
    """
    return tuple(replace(one, text=f"{one.text}\n\n{one.text}") if one.role == "system" else one for one in messages)


def hears_system(reply: Reply | CallerError, twice: Reply | CallerError) -> bool | None:
    """Whether the system's turn was counted: ``twice`` answered the same request with what it says twice (`told_twice`).

    Who drops it counts the same to the token. Fewer tell nothing: what does not fit the context was cut off, or what the
    server had read before was not counted.

    >>> [hears_system(Reply("", "", prompt_tokens=20), Reply("", "", prompt_tokens=count)) for count in (20, 23, 15)]
    [False, True, None]
    """
    if not isinstance(reply, Reply) or not isinstance(twice, Reply) or reply.estimated or twice.estimated:
        return None
    if not (reply.prompt_tokens and twice.prompt_tokens) or twice.prompt_tokens < reply.prompt_tokens:
        return None
    return twice.prompt_tokens > reply.prompt_tokens


async def looked_at(ask: Ask, request: Request) -> Endpoint:
    """What the server does with ``request``: one call, and one more where it has instructions in a turn of their own."""
    first = await ask(request)
    if all(one.role != "system" for one in request.messages):
        return Endpoint(_scored(first), keeps_max_tokens(request, first))
    if isinstance(first, CallerError):
        request = replace(request, messages=joined(request.messages))
        first = await ask(request)
        hears = False if isinstance(first, Reply) else None
        return Endpoint(_scored(first), keeps_max_tokens(request, first), hears)
    twice_request = replace(request, messages=told_twice(request.messages), purpose="probe", max_tokens=1)
    twice = await ask(twice_request)
    kept = [keeps_max_tokens(request, first), keeps_max_tokens(twice_request, twice)]
    known = [one for one in kept if one is not None]
    return Endpoint(_scored(first), all(known) if known else None, hears_system(first, twice))


def _scored(reply: Reply | CallerError) -> bool:
    return isinstance(reply, Reply) and reply.label_logprobs is not None
