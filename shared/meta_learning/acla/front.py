"""What a better score costs: the candidates that nobody beats in score, tokens, time and money at once, beyond the noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """A candidate with its expected score (``score_sd``: how well that is known) and what one call takes.

    ``price_usd`` is None where no price is known; it then takes no part.
    """

    version: str
    score: float
    score_sd: float
    tokens: float
    latency_s: float = 0.0
    price_usd: float | None = None


def front(offers: Sequence[Offer]) -> list[Offer]:
    """The offers that none dominates, cheapest first. Whoever is behind in score by less than the noise stays.

    >>> cheap, good, bad = Offer("cheap", 0.7, 0.01, 50), Offer("good", 0.8, 0.01, 90), Offer("bad", 0.6, 0.01, 90)
    >>> [one.version for one in front([good, bad, cheap])]
    ['cheap', 'good']
    >>> [one.version for one in front([cheap, Offer("unsure", 0.69, 0.05, 60)])]
    ['cheap', 'unsure']
    """
    kept = [one for one in offers if not any(_dominates(other, one) for other in offers)]
    return sorted(kept, key=lambda one: (one.tokens, -one.score, one.version))


def pick(offers: Sequence[Offer], tokens_price: float = 0.0, score_floor: float | None = None) -> Offer | None:
    """The offer to take: the cheapest that is credibly at ``score_floor``, or the best after paying ``tokens_price``.

    ``tokens_price`` is in score for a thousand tokens. None where no offer reaches the floor.

    >>> offers = [Offer("cheap", 0.7, 0.01, 50), Offer("good", 0.8, 0.01, 900)]
    >>> [pick(offers).version, pick(offers, tokens_price=0.2).version, pick(offers, score_floor=0.65).version]
    ['good', 'cheap', 'cheap']
    """
    if score_floor is not None:
        safe = [one for one in offers if one.score - one.score_sd >= score_floor]
        return min(safe, key=lambda one: (one.tokens, -one.score), default=None)
    return max(offers, key=lambda one: one.score - tokens_price * one.tokens / 1000.0, default=None)


def _dominates(one: Offer, other: Offer) -> bool:
    """Nowhere worse, and better in score by more than the noise of the two."""
    cheaper = one.tokens <= other.tokens and one.latency_s <= other.latency_s
    if one.price_usd is not None and other.price_usd is not None:
        cheaper = cheaper and one.price_usd <= other.price_usd
    return cheaper and one.score - other.score > math.hypot(one.score_sd, other.score_sd)
