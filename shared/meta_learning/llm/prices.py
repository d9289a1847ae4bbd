"""What a call costs by a vendor's list, and where and when that list was read.

An unknown price is no price at all (None), never nothing: caps on money refuse models without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from meta_learning.llm import Reply


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of prices, and the day on which it was last seen to say so."""

    seen: date
    where: str


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, as ``listed``. Above ``long_from`` prompt tokens the rates of the whole call are
    multiplied by ``long_factor``, that of what is written by ``long_completion_factor`` where that is another.

    In a batch they are multiplied by ``batch_factor``: 1 where the vendor is not known to sell batches cheaper. Prompt tokens that
    are read from the vendor's cache, or written there, cost ``read_factor`` and ``write_factor`` times as much as others.
    """

    prompt: float
    completion: float
    long_from: int | None = None
    long_factor: float = 1.0
    batch_factor: float = 1.0
    read_factor: float = 1.0
    write_factor: float = 1.0
    long_completion_factor: float | None = None
    listed: Listed | None = None

    def of(self, prompt_tokens: int, completion_tokens: int, batched: bool = False) -> float:
        """What one call costs.

        >>> Price(2.0, 10.0).of(1_000_000, 100_000), Price(2.0, 10.0, batch_factor=0.5).of(1_000_000, 100_000, batched=True)
        (3.0, 1.5)
        """
        asked, said = prompt_tokens * self.prompt, completion_tokens * self.completion
        if self.long_from is not None and prompt_tokens > self.long_from:
            asked, said = asked * self.long_factor, said * (self.long_completion_factor or self.long_factor)
        return (self.batch_factor if batched else 1.0) * (asked + said) / 1e6

    def of_reply(self, reply: Reply) -> float:
        """What a reply cost, as it came; where its tokens are estimated, the most that it can have cost.

        >>> Price(2.0, 10.0, read_factor=0.1).of_reply(Reply("", "", prompt_tokens=1_000_000, cache_read_tokens=500_000))
        1.1
        """
        if reply.estimated:
            return self.most(reply.prompt_tokens, reply.completion_tokens)
        cached = (self.read_factor - 1.0) * reply.cache_read_tokens + (
            self.write_factor - 1.0
        ) * reply.cache_write_tokens
        whole = self.of(reply.prompt_tokens, reply.completion_tokens, reply.batched)
        return whole + cached * self.of(reply.prompt_tokens, 0, reply.batched) / max(1, reply.prompt_tokens)

    def most(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The most that a call can cost: alone, and with all of its prompt written to the vendor's cache."""
        dearer = max(1.0, self.write_factor) - 1.0
        return self.of(prompt_tokens, completion_tokens) + dearer * self.of(prompt_tokens, 0)
