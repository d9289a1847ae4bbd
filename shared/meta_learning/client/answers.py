"""What the ingest service's answers mean to an application: results, or errors of our tree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import httpx

from meta_learning.client.voting import Said, Voter, filled, vote
from meta_learning.errors import (
    BackPressure,
    BrokerUnavailable,
    CallerError,
    MalformedEvent,
    MetaLearningError,
    NotFound,
    WorldError,
)
from meta_learning.events import METADATA_BYTES_MAX

WAIT_S_MAX = 30.0
LATER = frozenset({429, 502, 503, 504})
Reply: TypeAlias = httpx.Response | httpx.TransportError | None


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one event: ``accepted``, or ``duplicate`` when the server had it already."""

    event_id: str
    outcome: Literal["accepted", "duplicate"]
    entry_id: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that was not taken and will not be: its place among those given, and why."""

    index: int
    event_id: str | None
    outcome: str
    field: str | None
    detail: str


@dataclass(slots=True)
class Report:
    """What became of many: counts, and each one that was refused."""

    accepted: int = 0
    duplicate: int = 0
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CurrentPrompt:
    """The prompt to use now; send ``prompt_version`` with the feedback on what it led to.

    Ask the model with `messages`; ``text`` is the same to be read, and ``chat`` the same with a place for the input.
    ``voters``: where several prompts vote, all of them: ask each, then `vote`. ``price``: what a question takes, where known.
    """

    text: str
    prompt_version: str
    blocks: Any
    voters: tuple[Voter, ...] = ()
    price: Mapping[str, Any] | None = None
    chat: Mapping[str, Any] | None = None

    def messages(self, input_text: str) -> list[dict[str, str]]:
        """What to send to the model for one input, exactly as it was measured; see `meta_learning.client.voting.filled`."""
        return filled(self.chat, input_text)

    def vote(self, said: Sequence[Said]) -> str | None:
        """What the voters answer together; see `meta_learning.client.voting.vote`. ``said`` has an answer for each of them.

        A prompt alone answers so, too, with the weights on its labels that it was measured with:

        >>> weighed = CurrentPrompt("Judge it.", "v1", {"task": "Judge it.", "label_bias": {"good": 0.0, "bad": 0.4}})
        >>> weighed.vote([{"good": -0.6, "bad": -0.8}])
        'bad'
        """
        return vote(self.voters or (self._alone(),), said)

    def _alone(self) -> Voter:
        bias = self.blocks.get("label_bias") if isinstance(self.blocks, Mapping) else None
        return Voter(self.text, bias or {}, chat=self.chat)


def prompt_of(said: Mapping[str, Any]) -> CurrentPrompt:
    """The prompt out of the door's answer; fields that are not there yet are as if there was one prompt alone."""
    voters = tuple(
        Voter(one["text"], one.get("label_bias", {}), one.get("label_sharpness", 1.0), one.get("chat"))
        for one in said.get("voters", ())
    )
    return CurrentPrompt(
        said["text"], said["prompt_version"], said.get("blocks"), voters, said.get("price"), said.get("chat")
    )


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A candidate, the feedback that the model expects for it (None without a model), and its place in the request."""

    text: str
    score: float | None
    index: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidate to show first, then the others, best first; ``model_version`` is None when the loop has no model yet.

    ``propensity`` is the probability with which the first was put first; ``ask`` says whether the user's judgement of it is worth
    asking for. What `judged` gives goes back with the feedback as it is.
    """

    candidates: tuple[RankedCandidate, ...]
    model_version: str | None
    propensity: float
    ask: bool = True
    ask_propensity: float = 1.0
    loop: str = ""
    input_text: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def judged(self, feedback_score: float, **more: Any) -> dict[str, Any]:
        """The fields of the feedback on the first candidate: ``client.send(**ranking.judged(1.0, user_id="u7"))``.

        >>> ranking = Ranking((RankedCandidate("Yes.", 0.9, 0),), "v1", 0.95, loop="support", input_text="Open?")
        >>> ranking.judged(1.0)["output_text"], ranking.judged(1.0)["propensity"]
        ('Yes.', 0.95)
        """
        metadata = _joined(dict(more.pop("metadata", {})), self.metadata)
        return {
            "loop": self.loop,
            "input_text": self.input_text,
            "output_text": self.candidates[0].text,
            "feedback_score": feedback_score,
            "model_version": self.model_version,
            "propensity": self.propensity,
            "metadata": metadata,
            **more,
        }


def _joined(own: dict[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Both, or where they do not fit, all but the list of candidates: then only estimates for other models lose something."""
    both = own | dict(told)
    if len(json.dumps(both, ensure_ascii=False, default=str).encode("utf-8", "replace")) <= METADATA_BYTES_MAX:
        return both
    return own | {name: {key: part[key] for key in part if key != "candidates"} for name, part in told.items()}


def note(item: Mapping[str, Any], place: int, report: Report) -> None:
    """Enter the final outcome of one item into the report."""
    match item["outcome"]:
        case "accepted":
            report.accepted += 1
        case "duplicate":
            report.duplicate += 1
        case outcome:
            report.refused.append(
                Refused(place, item.get("event_id"), outcome, item.get("field"), str(item.get("detail", "")))
            )


def wait_s(reply: Reply, attempt: int) -> float:
    """How long to wait before the next attempt: what the server asks for, else 0.2 s doubled each time, 30 s at most.

    >>> wait_s(httpx.Response(503, headers={"Retry-After": "3"}), 0), wait_s(None, 2)
    (3.0, 0.8)
    """
    asked = reply.headers.get("retry-after", "") if isinstance(reply, httpx.Response) else ""
    return min(WAIT_S_MAX, float(asked) if asked.isdigit() else 0.2 * 2**attempt)


def says_later(reply: Reply) -> bool:
    """Whether the same request may succeed later: nobody answered, or somebody who was busy or cut off."""
    return not isinstance(reply, httpx.Response) or reply.status_code in LATER


def items_of(reply: Reply) -> list[dict[str, Any]]:
    """The outcome of each item, where the answer has them."""
    return list(_body(reply).get("items", []))


def error_of(reply: Reply) -> MetaLearningError:
    """The error that an answer (or its absence) means."""
    if not isinstance(reply, httpx.Response):
        return WorldError(f"the ingest service does not answer: {type(reply).__name__}")
    body = _body(reply)
    detail = str(body.get("detail", f"HTTP {reply.status_code}"))
    match reply.status_code:
        case 404:
            return NotFound(detail)
        case 400 | 413 | 422:
            return MalformedEvent(detail, body.get("field"))
        case 429:
            return BackPressure(detail, wait_s(reply, 0))
        case 503:
            return BrokerUnavailable(detail)
        case status if status >= 500:
            return WorldError(detail)
        case _:
            return CallerError(detail)


def _body(reply: Reply) -> dict[str, Any]:
    try:
        body = reply.json() if isinstance(reply, httpx.Response) else {}
    except ValueError:  # a proxy's page, say
        return {}
    return body if isinstance(body, dict) else {}
