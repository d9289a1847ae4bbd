"""What a better score costs: the candidates that nobody beats in score, tokens, time and money at once, beyond the noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

# From one minute to the next a server is slower by as much: only a prompt that takes longer by more counts as slower.
LATENCY_NOISE = 0.2
CERTAINTY = 0.9


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


def front(offers: Sequence[Offer], certainty: float = CERTAINTY) -> list[Offer]:
    """The offers that none dominates, cheapest first: only a score that is credibly higher justifies a dearer prompt.

    Whoever costs less stays, and so does whoever costs the same and is behind by less than the noise.

    >>> cheap, good, bad = Offer("cheap", 0.7, 0.01, 50), Offer("good", 0.8, 0.01, 90), Offer("bad", 0.6, 0.01, 90)
    >>> [one.version for one in front([good, bad, cheap])]
    ['cheap', 'good']
    >>> [one.version for one in front([cheap, Offer("unsure", 0.71, 0.05, 60)])]
    ['cheap']
    """
    ranked = sorted(offers, key=lambda one: (one.tokens, one.price_usd or 0.0, -one.score, one.latency_s, one.version))
    kept: list[Offer] = []
    for one in ranked:
        # Only by those that stay: of three that lie within the noise of their neighbours the best must not go with the second.
        if not any(_dominates(other, one, certainty) for other in kept):
            kept.append(one)
    return [one for one in kept if not any(_dominates(other, one, certainty) for other in kept)]


def _dominates(one: Offer, other: Offer, certainty: float) -> bool:
    """Nowhere dearer, and either cheaper while the other's score is not credibly higher, or credibly higher itself."""
    pairs = [(one.tokens, other.tokens), (one.latency_s, other.latency_s * (1.0 + LATENCY_NOISE))]
    prices = one.price_usd, other.price_usd
    if prices[0] is not None and prices[1] is not None:
        pairs.append((prices[0], prices[1]))
    if any(mine > others for mine, others in pairs):
        return False
    is_cheaper = any(mine < others for mine, others in (pairs[0], *pairs[2:]))
    noise = NormalDist().inv_cdf(certainty) * math.hypot(one.score_sd, other.score_sd)
    return other.score - one.score <= noise if is_cheaper else one.score - other.score > noise
