"""The event log of a run: paid replies, and decisions. Whoever has the log can go on with the run."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from meta_learning.errors import ConfigurationError, LLMUnavailable, MalformedState
from meta_learning.llm import Purpose, Reply
from meta_learning.llm.cache import reply_from
from meta_learning.llm.ledger import Entry, charged, failed_entry
from meta_learning.llm.models import price_of
from meta_learning.llm.prices import Price

RunEvent = Mapping[str, Any]
# A refused parameter is none: what an adapter has learnt already differs between the lives of a run, and its plan must not.
PASSING = LLMUnavailable.__name__
# Of the rules by which a run decides: raised with every change that lets the same replies lead to another decision or question.
RULES = 9


class RunStore(Protocol):
    """Logs of runs. Adapters: `MemoryRunStore`, and `meta_learning.registry.runs.FileRunStore`."""

    def append(self, run_id: str, event: RunEvent) -> None:
        """Add one JSON object to the log of a run; it survives a kill of the process when this returns."""

    def read(self, run_id: str) -> list[RunEvent]:
        """The whole log in order; empty for a run that never started."""


class MemoryRunStore:
    """Logs for as long as the process lives: the fake, and the default of a library user."""

    def __init__(self) -> None:
        self._logs: dict[str, list[str]] = {}

    def append(self, run_id: str, event: RunEvent) -> None:
        """Add an event; it is encoded, so that nobody can change it later and only JSON gets in."""
        self._logs.setdefault(run_id, []).append(json.dumps(event, ensure_ascii=False))

    def read(self, run_id: str) -> list[RunEvent]:
        """The log."""
        return [json.loads(line) for line in self._logs.get(run_id, [])]


class RunLog:
    """One run's log, opened: replies by digest (a `ReplyCache`), and decisions in order.

    A resumed run decides everything again out of recorded replies. `decided` compares each decision with the recorded one:
    a run that would differ from its own past stops instead of continuing as another. A run that was cut off under other
    `RULES`, by an earlier release, decides anew from its beginning: what it paid for counts and answers the questions that come again.
    """

    def __init__(
        self, store: RunStore, run_id: str, provider: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._provider = provider
        self._clock = clock
        self._opened = clock()
        self._earlier_s = 0.0
        self._replies: dict[str, Reply] = {}
        self._scores: dict[str, Any] = {}
        self._refusals: dict[str, str] = {}
        self._retries: Counter[str] = Counter()
        self._decisions: list[RunEvent] = []
        self._rules: int | None = None
        self._time_up_calls: int | None = None
        self.paid: list[Entry] = []
        self.results: dict[str, Any] | None = None
        # What the run's earlier life was told and this one has not come to yet.
        self._ahead: set[str] = set()
        for event in store.read(run_id):
            self._read(event)
        self._position = 0

    @property
    def seconds(self) -> float:
        """For how long the run has been worked on, over all its lives; the time between them does not count."""
        return self._earlier_s + self._clock() - self._opened

    def get(self, digest: str) -> Reply | None:
        """A reply that was paid for in this run."""
        self._ahead.discard(digest)
        return self._replies.get(digest)

    def put(self, digest: str, reply: Reply, purpose: Purpose = "task") -> None:
        """Record a reply before anybody uses it."""
        self._record("reply", digest=digest, purpose=purpose, reply=asdict(reply))
        self._replies[digest] = reply

    def failed(self, digest: str, entry: Entry) -> None:
        """Record an attempt that brought nothing: it counts in every later life of the run as well."""
        tokens = [entry.prompt_tokens, entry.completion_tokens]
        billed = {"tokens": tokens, "estimated": entry.estimated} if any(tokens) else {}
        self._record("failed", digest=digest, purpose=entry.purpose, model=entry.model, error=entry.error, **billed)
        self._retries[digest] += entry.error == PASSING

    def retries(self, digest: str) -> int:
        """How many attempts at a request came to nothing for a reason that passed."""
        return self._retries[digest]

    def refusal(self, digest: str) -> str | None:
        """Why the model refused the same request earlier, or None."""
        self._ahead.discard(digest)
        return self._refusals.get(digest)

    def put_refusal(self, digest: str, reason: str) -> None:
        """Record that the model refused a request: asked again it might not, and the run would not be the same."""
        self._record("refusal", digest=digest, reason=reason)
        self._refusals[digest] = reason

    def score(self, digest: str) -> Any:
        """What an evaluation function returned earlier for the same question, or None."""
        self._ahead.discard(digest)
        return self._scores.get(digest)

    def put_score(self, digest: str, score: float | list[float]) -> None:
        """Record what an evaluation function returned."""
        self._record("score", digest=digest, score=score)
        self._scores[digest] = score

    def _ended_as(self, event: RunEvent) -> bool:
        """Whether this is the start of a run that ended by earlier rules: what was not recorded then says nothing."""
        then = self._decisions[0]
        if self._position or self.results is None or self._rules == RULES or event["kind"] != "started":
            return False
        now = {name: event.get(name) for name in then}
        return now | {"config": {name: event["config"].get(name) for name in then["config"]}} == then

    def decided(self, kind: str, **facts: Any) -> None:
        """Record a decision, or check that a resumed run takes it again.

        Raises:
            ConfigurationError: the run was started with other settings, data or model.
            MalformedState: the log holds another decision here.
        """
        event = json.loads(json.dumps({"kind": kind, **facts}, ensure_ascii=False))
        if self._rules != RULES and self.results is None:
            self._store.append(self._run_id, {"kind": "rules", "rules": RULES})
            self._begin_by(RULES)
        if self._position >= len(self._decisions):
            self._store.append(self._run_id, event)
            self._decisions.append(event)
        elif self._decisions[self._position] != event and not self._ended_as(event):
            if kind == "started":
                raise ConfigurationError(f"run {self._run_id!r} was started with other settings, data or model")
            raise MalformedState(
                f"run {self._run_id!r}: decision {self._position + 1} differs from the recorded one; somebody changed "
                "the log or the library: start a run of another name"
            )
        self._position += 1

    def finished(self, results: dict[str, Any]) -> None:
        """Record how the run ended; whoever runs it again gets these results at once."""
        self._store.append(self._run_id, {"kind": "finished", "results": results})

    def time_is_up(self, calls_count: int, now: bool) -> bool:
        """Whether the time for searching is over: ``now``, or at the same call as in this run's earlier life."""
        if now and self._time_up_calls is None and not self._ahead:
            self._time_up_calls = calls_count
            self._store.append(self._run_id, {"kind": "time_up", "calls_count": calls_count})
        return self._time_up_calls is not None and calls_count >= self._time_up_calls

    def _begin_by(self, rules: int) -> None:
        self._rules, self._time_up_calls = rules, None
        self._decisions.clear()
        self._ahead.clear()

    def _record(self, kind: str, **facts: Any) -> None:
        self._store.append(self._run_id, {"kind": kind, "seconds": self.seconds, **facts})

    def _read(self, event: RunEvent) -> None:
        self._earlier_s = max(self._earlier_s, event.get("seconds", 0.0))
        if event["kind"] in ("reply", "score", "refusal"):
            self._ahead.add(event["digest"])
        if event["kind"] == "reply":
            reply = reply_from(event["reply"])
            self._replies[event["digest"]] = reply
            self.paid.append(self._entry(reply, event.get("purpose", "task")))
        elif event["kind"] == "failed":
            self._retries[event["digest"]] += event["error"] == PASSING
            self.paid.append(self._failed_entry(event))
        elif event["kind"] == "score":
            self._scores[event["digest"]] = event["score"]
        elif event["kind"] == "refusal":
            self._refusals[event["digest"]] = event["reason"]
        elif event["kind"] == "time_up":
            self._time_up_calls = event["calls_count"]
        elif event["kind"] == "finished":
            self.results = event["results"]
        elif event["kind"] == "rules":
            self._begin_by(event["rules"])
        else:
            self._decisions.append(event)

    def _entry(self, reply: Reply, purpose: Purpose) -> Entry:
        price = Price(0.0, 0.0) if reply.cached else price_of(self._provider, reply.model)
        return Entry(
            purpose=purpose,
            cached=reply.cached,
            provider=self._provider,
            model=reply.model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            price_usd=None if price is None else price.of_reply(reply),
            latency_s=reply.latency_s,
            batched=reply.batched,
            estimated=reply.estimated,
        )

    def _failed_entry(self, event: RunEvent) -> Entry:
        """Logs of earlier releases say of no failed call that it was billed."""
        entry = failed_entry(event["purpose"], self._provider, event["model"], event["error"])
        if "tokens" not in event:
            return entry
        prompt, completion = event["tokens"]
        return charged(entry, (prompt, completion), price_of(self._provider, entry.model), event["estimated"])
