"""Where a run stands at this moment: every candidate that was asked, and what was spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.search import Search
from meta_learning.acla.statistics import wilson
from meta_learning.llm.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate. ``score`` is that of the items it was asked in the search, with the interval that so many items allow.

    ``gain`` is over the seed on the same items; ``price_usd`` is None where no price is known.
    """

    version: str
    strategy: str
    iteration: int
    items_count: int
    score: float
    low: float
    high: float
    gain: float
    tokens: int
    price_usd: float | None
    leads: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of a run. ``calls`` are distinct questions; ``attempts`` every call that went out.

    ``leader``: the text of the prompt that would be taken now, and ``leader_bias`` what is added to its labels' log-probabilities.
    """

    rows: tuple[Row, ...]
    calls: int
    attempts: int
    tokens: int
    money_usd: float | None
    seconds: float
    leader: str = ""
    leader_bias: Mapping[str, float] = field(default_factory=dict)


def snapshot_of(search: Search, ledger: Ledger, calls: int) -> Snapshot:
    """The moment, read off what the run knows; it changes nothing."""
    raced = [entrant.candidate for entrant in search.race.entrants.values()]
    known = list({one.version: one for one in (search.seed, search.race.anchor, *raced)}.values())
    held, spent = search.held, ledger.spent
    rows = [
        _row(search, one, leads=one.version == held.version)
        for one in known
        if search.matrix.answers.get(one.prompt.version)
    ]
    leader, bias = held.prompt.render(), search.matrix.bias(held)
    return Snapshot(tuple(rows), calls, spent.calls, spent.tokens, spent.money_usd, ledger.seconds, leader, bias)


def _row(search: Search, candidate: Candidate, leads: bool) -> Row:
    matrix, items = search.matrix, search.race.items
    scores = matrix.scores(candidate, items)
    differences = matrix.differences(candidate, search.seed, items)
    answers = matrix.answers[candidate.prompt.version].values()
    prices = [one.price_usd for one in answers if one.missing is None]
    known = [price for price in prices if price is not None]
    entrant = search.race.entrants.get(candidate.version)
    low, high = wilson(sum(scores), len(scores))
    return Row(
        version=candidate.version,
        strategy=candidate.strategy,
        iteration=entrant.iteration if entrant else 0,
        items_count=len(scores),
        score=sum(scores) / max(1, len(scores)),
        low=low,
        high=high,
        gain=sum(differences) / max(1, len(differences)),
        tokens=sum(one.tokens for one in answers),
        price_usd=sum(known) if len(known) == len(prices) else None,
        leads=leads,
    )
