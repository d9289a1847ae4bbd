"""The one strict decision, on items that the search never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from meta_learning.acla.racing.shrinkage import NOTHING_KNOWN, Gain
from meta_learning.acla.statistics import group_sums, holm, paired_bootstrap, power, sign_flip_one_sided


@dataclass(frozen=True, slots=True)
class Finalist:
    """One finalist against the seed, on the pairs that both answered. ``fresh_count``: those that the search never saw; thresholds may
    have been fitted on some of them, each item's out of its sight.

    ``expected``: the gain to be believed, out of the search and of these pairs. ``low`` and ``high`` are its 95 % interval;
    ``at_least`` is the one-sided bound of the level that it was tested at, above 0 only if it passed.
    """

    version: str
    pairs_count: int
    fresh_count: int
    expected: float
    gain: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    score: float
    seed_score: float
    at_least: float = -1.0


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate saw. ``winner`` is None unless the evidence for some finalist is strong enough.

    ``power_for_5_points``: of the finalist with the most pairs, at the level that it has before any other is proven;
    the least where several have as many.
    """

    alpha: float
    finalists: tuple[Finalist, ...]
    winner: Finalist | None
    power_for_5_points: float

    @property
    def proven(self) -> frozenset[str]:
        """The versions that the evidence is strong enough for; in all their chance of holding a useless one is ``alpha``."""
        return frozenset(one.version for one in self.finalists if one.p_adjusted < self.alpha and one.gain > 0.0)

    @property
    def judged(self) -> Finalist | None:
        """The finalist that the decision is about: the winner, else the one nearest to it. None if no item was answered by both."""
        compared = [one for one in self.finalists if one.pairs_count]
        return self.winner or max(compared, key=lambda one: one.expected, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PairedScores:
    """Scores of a finalist and of the seed on the same fresh items, in the same order.

    ``price``: what the finalist costs more than the seed, in score; a gain must be one after paying it.
    ``earlier``: pairs (its score, the seed's) on items of the search, only of a finalist that was fixed before it: they count
    as fresh ones do. ``share``: the part of the level that it may use, None where all have the same. ``believed``: its gain after
    the search. ``groups``: whose item each pair is, earlier ones first; empty where nobody has two.
    """

    version: str
    scores: Sequence[float]
    seed_scores: Sequence[float]
    price: float = 0.0
    earlier: Sequence[tuple[float, float]] = ()
    share: float | None = None
    believed: Gain = NOTHING_KNOWN
    groups: Sequence[str] = ()

    def differences(self) -> list[float]:
        """The finalist's score minus the seed's and the price, earlier pairs first."""
        pairs = [*self.earlier, *zip(self.scores, self.seed_scores, strict=True)]
        return [one - other - self.price for one, other in pairs]


def decide(pairs: Sequence[PairedScores], alpha: float, seed: int) -> GateReport:
    """Test each finalist against the seed prompt (exact McNemar for 0/1 scores, by groups where items share some), and correct
    for their number (Holm).

    Of those that pass, the one with the largest gain to be believed wins: the largest of a few pairs would flatter.

    >>> lucky = PairedScores("b", [1.0] * 20 + [0.0] * 20, [1.0] * 12 + [0.0] * 28)
    >>> decide([lucky], alpha=0.1, seed=0).winner.gain
    0.2
    >>> decide([PairedScores("b", [1.0, 0.0], [0.0, 1.0])], alpha=0.1, seed=0).winner is None
    True
    """
    differences = [pair.differences() for pair in pairs]
    shares = None if any(pair.share is None for pair in pairs) else [pair.share or 0.0 for pair in pairs]
    p_values = [
        sign_flip_one_sided(one, seed, pair.groups) if one else 1.0
        for pair, one in zip(pairs, differences, strict=True)
    ]
    finalists = tuple(
        replace(_finalist(pair, one, p, adjusted, seed), at_least=_at_least(pair, one, (p, adjusted, alpha), seed))
        for pair, one, p, adjusted in zip(pairs, differences, p_values, holm(p_values, shares), strict=True)
    )
    proven = GateReport(alpha, finalists, None, 0.0).proven
    winner = max((one for one in finalists if one.version in proven), key=lambda one: one.expected, default=None)
    levels = [alpha * share for share in shares or [1.0 / max(1, len(pairs))] * len(pairs)]
    return GateReport(alpha, finalists, winner, _power(pairs, differences, levels))


def _power(pairs: Sequence[PairedScores], differences: Sequence[Sequence[float]], levels: Sequence[float]) -> float:
    """Of the finalist with the most pairs, by its own level and pairs: another's would tell of a test that nobody makes."""
    most = max(map(len, differences), default=0)
    return min(
        (
            power(most, 0.05, _discordant(one, pair.groups), level)
            for pair, one, level in zip(pairs, differences, levels, strict=True)
            if most and len(one) == most
        ),
        default=0.0,
    )


def _discordant(differences: Sequence[float], groups: Sequence[str]) -> float:
    """The share of pairs that differ; of groups the share that would make single items vary as their sums do."""
    share = fmean(abs(one) for one in differences)
    squares = sum(one * one for one in group_sums(differences, groups)) if groups else 0.0
    return max(share, squares / len(differences))


def _at_least(pair: PairedScores, differences: Sequence[float], tested: tuple[float, float, float], seed: int) -> float:
    """The bound below the gain, as sure as the test: one-sided, at what Holm's correction left of the level."""
    p, adjusted, alpha = tested
    low, _ = paired_bootstrap(differences, 1.0 - 2.0 * alpha * (p / adjusted if adjusted else 1.0), seed, pair.groups)
    # The exact test asks for a little more than resampling does; the bound says what the test says.
    return low if adjusted < alpha else min(low, 0.0)


def _finalist(pair: PairedScores, differences: Sequence[float], p: float, adjusted: float, seed: int) -> Finalist:
    low, high = paired_bootstrap(differences, 0.95, seed, pair.groups)
    known = bool(differences)
    earlier, fresh = [one for one, _ in pair.earlier], differences[len(pair.earlier) :]
    seed_scores = [*(other for _, other in pair.earlier), *pair.seed_scores]
    return Finalist(
        version=pair.version,
        pairs_count=len(differences),
        fresh_count=len(fresh),
        expected=pair.believed.after(fresh).mean,
        gain=fmean(differences) if known else 0.0,
        low=low,
        high=high,
        p_value=p,
        p_adjusted=adjusted,
        score=fmean([*earlier, *pair.scores]) if known else 0.0,
        seed_score=fmean(seed_scores) if known else 0.0,
    )
