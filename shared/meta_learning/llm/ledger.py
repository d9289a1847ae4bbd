"""One table of every call, and hard caps that are reserved before a call is made, so that none is ever exceeded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from meta_learning.errors import BudgetExhausted, ConfigurationError
from meta_learning.llm import Purpose, Reply, Request
from meta_learning.llm.estimate import most_tokens
from meta_learning.llm.models import price_of
from meta_learning.llm.prices import Price


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that may be spent; None is no limit. No call starts after ``seconds``, counted from the ledger's start."""

    calls: int | None = None
    tokens: int | None = None
    money_usd: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt: what it was for, what it took, and the class of its error if it failed.

    ``cached``: nothing was paid. ``replayed``: nothing was asked either, this run had the answer already.
    ``batched``: it went out in a batch, at the price of one, and its latency is not known. ``estimated``: the vendor did not say
    what it took; tokens and price are the most that it can have.
    """

    purpose: Purpose
    provider: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    price_usd: float | None = None
    latency_s: float = 0.0
    cached: bool = False
    error: str | None = None
    replayed: bool = False
    batched: bool = False
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """Sums over paid entries. ``money_usd`` is None when some price is not known."""

    calls: int = 0
    tokens: int = 0
    money_usd: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that one call can take, set aside until it is settled."""

    request: Request
    provider: str
    model: str
    tokens: int
    money_usd: float | None


@dataclass(frozen=True, slots=True)
class Largest:
    """The most that was set aside for one call so far: without so much left, the next one may be refused."""

    tokens: int = 0
    money_usd: float = 0.0


class Ledger:
    """Counts, and refuses.

    >>> from meta_learning.llm import Message
    >>> ledger = Ledger(Caps(calls=1))
    >>> hello = Request((Message("user", "hello"),))
    >>> held = ledger.reserve(hello, "scripted", "scripted")
    >>> ledger.reserve(hello, "scripted", "scripted")
    Traceback (most recent call last):
    ...
    meta_learning.errors.BudgetExhausted: the cap of 1 calls is reached
    """

    def __init__(
        self,
        caps: Caps = Caps(),
        clock: Callable[[], float] = time.monotonic,
        price: Callable[[str, str], Price | None] = price_of,
    ) -> None:
        self.caps = caps
        self.entries: list[Entry] = []
        self._clock = clock
        self._price = price
        self._started = clock()
        self._spent = Spent()
        self._held: list[Reservation] = []
        self.largest = Largest()

    @property
    def spent(self) -> Spent:
        """What was paid so far, open reservations not included."""
        return self._spent

    @property
    def seconds(self) -> float:
        """Seconds since the ledger was opened."""
        return self._clock() - self._started

    def restore(self, entries: Iterable[Entry], seconds: float = 0.0) -> None:
        """Count the calls and the ``seconds`` of an earlier life of this run, so that its caps hold over all lives."""
        self._started -= seconds
        for entry in entries:
            self._add(entry)

    def reserve(self, request: Request, provider: str, model: str) -> Reservation:
        """Set aside the most that ``request`` can take: the price of a call of its own, also where it may go out in a batch.

        Raises:
            BudgetExhausted: it might exceed a cap; nothing was set aside and no call may be made.
            ConfigurationError: money is capped and the model's price is not known.
        """
        tokens = most_tokens(request)
        price = self._price(provider, model)
        if price is None and self.caps.money_usd is not None:
            raise ConfigurationError(f"money is capped, but no price of {model} ({provider}) is known")
        money = None if price is None else price.most(*tokens)
        held = Reservation(request, provider, model, sum(tokens), money)
        self.largest = Largest(max(self.largest.tokens, sum(tokens)), max(self.largest.money_usd, money or 0.0))
        self._check(held)
        self._held.append(held)
        return held

    def release(self, held: Reservation) -> None:
        """Give a reservation back: nothing was sent."""
        # By identity: two equal requests in flight are two reservations.
        self._held = [other for other in self._held if other is not held]

    def settle(self, held: Reservation, reply: Reply) -> None:
        """Replace a reservation by what the call really took: nothing where a cache of the model's own answered."""
        self.release(held)
        entry = self._entry(held.request, held.provider, reply)
        self._add(replace(entry, cached=True, price_usd=0.0) if reply.cached else entry)

    def fail(self, held: Reservation, error: BaseException) -> Entry:
        """Replace a reservation by a failed call: by what the error says that it was billed, which may be all of it.

        Where the error is none of ours nobody knows, and the call counts with the most that it can have taken.
        """
        self.release(held)
        entry = failed_entry(held.request.purpose, held.provider, held.model, type(error).__name__)
        billed = getattr(error, "billed", True)
        if billed:
            price = self._price(held.provider, held.model)
            tokens = billed if isinstance(billed, tuple) else most_tokens(held.request)
            entry = charged(entry, tokens, price, estimated=billed is True)
        self._add(entry)
        return entry

    def hit(self, request: Request, provider: str, reply: Reply) -> None:
        """Note an answer that this run had already: it was not asked for again."""
        self._add(replace(self._entry(request, provider, reply), cached=True, price_usd=0.0, replayed=True))

    def by_purpose(self) -> dict[str, dict[str, Any]]:
        """Calls, failures, cached answers, estimated calls, tokens, money and latency of each purpose; not what was only replayed."""
        asked = [entry for entry in self.entries if not entry.replayed]
        return {
            name: _sums([one for one in asked if one.purpose == name]) for name in sorted({e.purpose for e in asked})
        }

    def _entry(self, request: Request, provider: str, reply: Reply) -> Entry:
        price = self._price(provider, reply.model)
        return Entry(
            purpose=request.purpose,
            provider=provider,
            model=reply.model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            price_usd=None if price is None else price.of_reply(reply),
            latency_s=reply.latency_s,
            batched=reply.batched,
            estimated=reply.estimated,
        )

    def _check(self, asked: Reservation) -> None:
        caps, spent, open_ = self.caps, self._spent, [*self._held, asked]
        if caps.calls is not None and spent.calls + len(open_) > caps.calls:
            raise BudgetExhausted(f"the cap of {caps.calls} calls is reached")
        if caps.tokens is not None and spent.tokens + sum(held.tokens for held in open_) > caps.tokens:
            raise BudgetExhausted(f"the cap of {caps.tokens} tokens would be exceeded")
        if caps.money_usd is not None:
            total = (spent.money_usd or 0.0) + sum(held.money_usd or 0.0 for held in open_)
            if total > caps.money_usd:
                raise BudgetExhausted(f"the cap of {caps.money_usd} US dollars would be exceeded")
        self.check_time()

    def check_time(self) -> None:
        """Raise `BudgetExhausted` when the time is over."""
        if self.caps.seconds is not None and self.seconds >= self.caps.seconds:
            raise BudgetExhausted(f"the cap of {self.caps.seconds} seconds is reached")

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        if entry.cached:
            return
        known = self._spent.money_usd is not None and entry.price_usd is not None
        self._spent = Spent(
            calls=self._spent.calls + 1,
            tokens=self._spent.tokens + entry.prompt_tokens + entry.completion_tokens,
            money_usd=(self._spent.money_usd or 0.0) + (entry.price_usd or 0.0) if known else None,
        )


def failed_entry(purpose: Purpose, provider: str, model: str, error: str) -> Entry:
    """The entry of a call that brought nothing, and cost nothing."""
    return Entry(purpose, provider, model, price_usd=0.0, error=error)


def charged(entry: Entry, tokens: tuple[int, int], price: Price | None, estimated: bool) -> Entry:
    """The entry of a call that brought nothing and was, or may have been, billed by so many tokens of prompt and answer.

    >>> charged(failed_entry("task", "p", "m", "LLMUnavailable"), (1000, 100), Price(1.0, 10.0), estimated=True).price_usd
    0.002
    """
    money = None if price is None else price.most(*tokens) if estimated else price.of(*tokens)
    prompt, completion = tokens
    return replace(entry, prompt_tokens=prompt, completion_tokens=completion, price_usd=money, estimated=estimated)


def _sums(entries: list[Entry]) -> dict[str, Any]:
    paid = [one for one in entries if not one.cached]
    prices = [one.price_usd for one in paid]
    return {
        "calls": len(paid),
        "failed": sum(one.error is not None for one in paid),
        "cached": len(entries) - len(paid),
        "estimated": sum(one.estimated for one in paid),
        "tokens": sum(one.prompt_tokens + one.completion_tokens for one in paid),
        "money_usd": None if None in prices else round(sum(price or 0.0 for price in prices), 9),
        "latency_s": round(sum(one.latency_s for one in paid), 6),
    }
