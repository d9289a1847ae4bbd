"""What both clients say and understand, as generators that send nothing themselves.

A flow yields a request to send, or seconds to wait, and is given the reply; so the waits, the batches and the meaning of
answers are written once for the blocking client and for the one to be awaited.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from meta_learning.client.answers import (
    CurrentPrompt,
    RankedCandidate,
    Ranking,
    Refused,
    Reply,
    Report,
    Sent,
    error_of,
    items_of,
    note,
    prompt_of,
    says_later,
    wait_s,
)
from meta_learning.errors import CallerError, MalformedEvent
from meta_learning.events import FeedbackReceived, describe

BATCH_COUNT_MAX = 1000
BATCH_BYTES_MAX = 8 * 2**20
AGAIN = frozenset({"back_pressure", "unknown", "not_sent"})

_T = TypeVar("_T")
Flow: TypeAlias = Generator[httpx.Request | float, Reply, _T]
Feedback: TypeAlias = FeedbackReceived | Mapping[str, Any]


class Dialogue:
    """What both clients say and understand, without sending anything themselves."""

    def __init__(
        self, base_url: str, api_key: str | None = None, timeout_s: float = 10.0, attempts_max: int = 6
    ) -> None:
        if attempts_max < 1:
            raise CallerError("attempts_max must be at least 1")
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout_s = timeout_s
        self._attempts_max = attempts_max

    def _request(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> httpx.Request:
        headers = self._headers if body is None else {**self._headers, "Content-Type": kind}
        timeout = httpx.Timeout(self._timeout_s).as_dict()
        return httpx.Request(
            method, f"{self._base_url}{path}", headers=headers, content=body, extensions={"timeout": timeout}
        )

    def _ask(self, request: httpx.Request, attempts_max: int) -> Flow[httpx.Response]:
        """Send until somebody answers other than "later"; raises what the last attempt says."""
        for attempt in range(attempts_max):
            reply = yield request
            if isinstance(reply, httpx.Response) and not says_later(reply):
                return reply
            if attempt + 1 < attempts_max:
                yield wait_s(reply, attempt)
        raise error_of(reply)

    def _send(self, fields: Mapping[str, Any]) -> Flow[Sent]:
        event = event_of(fields)
        reply = yield from self._ask(self._request("POST", "/v1/feedback", event.encode()), self._attempts_max)
        if reply.status_code not in {200, 202}:
            raise error_of(reply)
        said = reply.json()
        return Sent(said["event_id"], said["outcome"], said.get("entry_id"))

    def _send_many(self, feedback: Iterable[Feedback]) -> Flow[Report]:
        report = Report()
        for batch in batches(feedback, report):
            yield from self._send_batch(batch, report)
        return report

    def _send_batch(self, batch: dict[int, bytes], report: Report) -> Flow[None]:
        for attempt in range(self._attempts_max):
            body = b"\n".join(batch.values())
            reply = yield self._request("POST", "/v1/feedback/batch", body, "application/x-ndjson")
            items = items_of(reply)
            places = list(batch)
            for item in items:
                if item["outcome"] not in AGAIN:
                    place = places[item["index"]]
                    del batch[place]
                    note(item, place, report)
            if not batch:
                return
            if not items and not says_later(reply):
                raise error_of(reply)
            if attempt + 1 < self._attempts_max:
                yield wait_s(reply, attempt)
        raise error_of(reply)

    def _prompt(self, loop: str, unit: str | None) -> Flow[CurrentPrompt]:
        query = "" if unit is None else f"?unit={quote(unit, safe='')}"
        # An application waits for this one: better a clear error now than an answer after half a minute.
        reply = yield from self._ask(self._request("GET", f"/v1/loops/{quote(loop, safe='')}/prompt{query}"), 1)
        if reply.status_code != 200:
            raise error_of(reply)
        said = reply.json()
        return prompt_of(said)

    def _rank(
        self, loop: str, input_text: str, candidates: Iterable[str], unit: str | None, explore: bool
    ) -> Flow[Ranking]:
        if isinstance(candidates, str):
            raise CallerError("candidates is one text; give a list of them")
        asked: dict[str, Any] = {"input_text": input_text, "candidates": list(candidates)} | (
            {} if unit is None else {"unit": unit}
        )
        asked |= {} if explore else {"explore": False}
        path = f"/v1/loops/{quote(loop, safe='')}/rank"
        reply = yield from self._ask(self._request("POST", path, json.dumps(asked).encode()), 1)
        if reply.status_code != 200:
            raise error_of(reply)
        said = reply.json()
        ranked = tuple(RankedCandidate(item["text"], item["score"], item["index"]) for item in said["candidates"])
        return Ranking(
            ranked,
            said["model_version"],
            said["propensity"],
            ask=said.get("ask", True),  # a server of an older version does not say
            ask_propensity=said.get("ask_propensity", 1.0),
            loop=loop,
            input_text=input_text,
            metadata=said.get("metadata", {}),
        )


def event_of(fields: Feedback) -> FeedbackReceived:
    """The event with these fields; its id and time are made here when they are not given.

    >>> event = event_of({"loop": "support", "input_text": "Hi", "output_text": "Hello", "feedback_score": 1})
    >>> len(event.event_id), event.feedback_score
    (32, 1.0)

    Raises:
        MalformedEvent: a field is wrong; the error names it.
    """
    if isinstance(fields, FeedbackReceived):
        return fields
    made = {"event_id": uuid.uuid4().hex, "occurred_at": datetime.now(UTC)}
    try:
        return FeedbackReceived.model_validate(made | dict(fields))
    except ValidationError as error:
        raise MalformedEvent(*describe(error)) from None


def batches(feedback: Iterable[Feedback], report: Report) -> Iterator[dict[int, bytes]]:
    """Encoded events by their place, in batches within both bounds; what is no event goes to the report at once."""
    batch: dict[int, bytes] = {}
    size = 0
    for index, fields in enumerate(feedback):
        try:
            encoded = event_of(fields).encode()
        except MalformedEvent as error:
            report.refused.append(Refused(index, None, "invalid", error.field, str(error)))
            continue
        if batch and (len(batch) >= BATCH_COUNT_MAX or size + len(encoded) > BATCH_BYTES_MAX):
            yield batch
            batch, size = {}, 0
        batch[index] = encoded
        size += len(encoded) + 1
    if batch:
        yield batch
