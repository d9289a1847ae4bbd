"""What a run found, side by side: what each package scores, what a call of it takes, and what is known of it on fresh items."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from meta_learning.acla.ensembles import Contender, Ensemble
from meta_learning.acla.front import Offer, front
from meta_learning.acla.gate import Finalist
from meta_learning.acla.judging import Ending
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.search import Search
from meta_learning.acla.splits import Splits
from meta_learning.acla.statistics import wilson

IN_USE, PROVEN, NOT_PROVEN = "in use", "proven", "not proven"


@dataclass(frozen=True, slots=True)
class Certain:
    """How intervals are made: those whose lower end holds as surely as the gate decides. Items of one group count as one."""

    alpha: float
    independent_share: float = 1.0

    @classmethod
    def of(cls, alpha: float, splits: Splits) -> Certain:
        """By the level of the run, and the groups of its fresh items."""
        groups = splits.groups_counts
        return cls(alpha, groups[1] / len(splits.gate) if groups and splits.gate else 1.0)

    def of_share(self, score: float, count: float) -> tuple[float, float]:
        """The interval of a score on ``count`` items."""
        worth = max(1, round(count * self.independent_share))
        return wilson(score * worth, worth, 1.0 - 2.0 * self.alpha)


def in_use_of(search: Search) -> Contender:
    """What is in use: one package, or several that vote."""
    return Ensemble(search.incumbent) if len(search.incumbent) > 1 else search.seed


def rows_of(search: Search, ending: Ending, certain: Certain) -> list[dict[str, Any]]:
    """The front, with what is in use and whoever was judged even where a cheaper one is as good; cheapest first.

    ``score``: what is expected after the search, with its interval; ``search_items``: those that it was asked there, of which the gain
    over the seed is; ``decided_score``: on the items that the gate judged by, None for
    whoever was not asked them. ``standing``: only what is in use, and what is proven, may be taken.
    """
    offers = {one.version: one for one in search.offers()}
    on_front = {one.version for one in front(list(offers.values()), 1.0 - certain.alpha)}
    known = [in_use_of(search), *ending.proven]
    standings = {one.version: PROVEN for one in known} | {known[0].version: IN_USE}
    shown = [*known, *ending.judged]
    together = {one.version: _together(search, one) for one in shown if isinstance(one, Ensemble)}
    single = {one.version: asdict(search.offer(one)) for one in shown if isinstance(one, Candidate)}
    raced = [search.seed, search.race.anchor, *(one.candidate for one in search.race.entrants.values())]
    counts = {one.version: len(search.matrix.scores(one, search.race.items)) for one in raced}
    found = {version: asdict(offers[version]) for version in on_front} | single | together
    judged = {one.version: one for one in ending.gate.finalists} if ending.gate else {}
    rows = [
        one
        | _expected(search, one, certain)
        | {"search_items": counts.get(version, 0)}
        | _fresh(judged, version, standings.get(version) == IN_USE, certain)
        | {"standing": standings.get(version, NOT_PROVEN), "on_front": version in on_front}
        for version, one in found.items()
    ]
    return sorted(rows, key=lambda row: (row["tokens"], row["standing"] != IN_USE, row["version"]))


def _together(search: Search, voters: Ensemble) -> dict[str, Any]:
    """Those that vote are asked at once: what they take is added up, but for the time. Their vote has no score of the search."""
    offers = [search.offer(one) for one in voters.members]
    prices = [one.price_usd for one in offers if one.price_usd is not None]
    offer = Offer(
        version=voters.version,
        score=0.0,
        score_sd=0.0,
        tokens=sum(one.tokens for one in offers),
        latency_s=max(one.latency_s for one in offers),
        price_usd=sum(prices) if len(prices) == len(offers) else None,
    )
    return asdict(offer) | {"score": None}


def _expected(search: Search, one: dict[str, Any], certain: Certain) -> dict[str, Any]:
    """The interval of what is expected: of the seed's score, and for others of the gain over it besides."""
    scores = search.matrix.scores(search.seed, search.race.items)
    if one["score"] is None or not scores:
        return {"low": None, "high": None}
    low, high = certain.of_share(sum(scores) / len(scores), len(scores))
    if one["version"] == search.seed.version:
        return {"low": low, "high": high}
    half = math.hypot((high - low) / 2.0, NormalDist().inv_cdf(1.0 - certain.alpha) * one["score_sd"])
    return {"low": max(0.0, one["score"] - half), "high": min(1.0, one["score"] + half)}


def _fresh(judged: dict[str, Finalist], version: str, is_in_use: bool, certain: Certain) -> dict[str, Any]:
    most = max(judged.values(), key=lambda one: one.pairs_count, default=None)
    one = most if is_in_use else judged.get(version)
    if one is None or not one.pairs_count:
        return {"decided_items": 0, "decided_score": None, "decided_low": None, "decided_high": None}
    score = one.seed_score if is_in_use else one.score
    low, high = certain.of_share(score, one.pairs_count)
    return {"decided_items": one.pairs_count, "decided_score": score, "decided_low": low, "decided_high": high}


def takeable(search: Search, ending: Ending) -> list[Contender]:
    """What may be put to use: what is in use already, and what the gate has proven."""
    return list({one.version: one for one in (in_use_of(search), *ending.proven)}.values())
