"""The end of a run: the finalists against the seed on fresh items, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meta_learning.acla.asking import stream
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.ensembles import Contender, Ensemble, members_of, voted_score
from meta_learning.acla.gate import Finalist, GateReport, PairedScores, decide
from meta_learning.acla.in_use import TooManyMissing
from meta_learning.acla.nominating import Nominee, shares_of
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.racing.shrinkage import NOTHING_KNOWN
from meta_learning.acla.search import Search
from meta_learning.acla.splits import Item, group_or_self
from meta_learning.acla.statistics import said_p
from meta_learning.acla.store import RunLog
from meta_learning.errors import BudgetExhausted

# A difference that one digit of points does not show.
UNSEEN = 0.0005


@dataclass
class Ending:
    """How a run ended. ``judged``: whom the gate looked at; ``proven``: those that it let through, one of them the ``winner``."""

    outcome: str
    reason: str
    winner: Contender | None = None
    gate: GateReport | None = None
    proven: tuple[Contender, ...] = ()
    judged: tuple[Contender, ...] = ()


async def judge(
    search: Search,
    slate: Sequence[Nominee],
    items: Sequence[Item],
    config: CurriculumConfig,
    log: RunLog,
    stopped_by: str,
) -> Ending:
    """Ask everybody the ``items`` that the search never saw and decide, where a cap comes first on those that it leaves pairs of.

    Raises:
        BudgetExhausted: it leaves none.
        TooManyMissing: the model refuses what is in use more than a fifth of them.
    """
    contenders = [one.candidate for one in slate]
    believed = {one.candidate.version: one.gain for one in slate}
    cut = await _ask(search, list(dict.fromkeys(voter for one in contenders for voter in members_of(one))), items)
    fresh = {item.id for item in items}
    seen = [item for item in search.race.items if item.id not in fresh]
    pairs = [
        replace(_paired(search, one, seen, items), share=share, believed=believed.get(one.version, NOTHING_KNOWN))
        for one, share in zip(contenders, _shares(search, contenders), strict=True)
    ]
    if cut and not any(pair.scores for pair in pairs):
        raise BudgetExhausted(cut)
    report = decide(pairs, config.alpha, seed=stream(config.seed, "gate").getrandbits(32))
    log.decided("gate", report=report.as_dict())
    parts = (("search", stopped_by), ("gate", cut))
    ending = _ending(report, contenders, "".join(f" (the {part} was cut short: {why})" for part, why in parts if why))
    numbers = {"p_adjusted": report.judged.p_adjusted, "gain": report.judged.gain} if report.judged else {}
    search.tracker.explain(len(search.tracker.history), f"the gate says {ending.outcome}", ending.reason, **numbers)
    return ending


async def _ask(search: Search, finalists: Sequence[Candidate], items: Sequence[Item]) -> str:
    """Why not all items were asked, if so. A retry that nobody could foresee must not cost the decision."""
    cut = ""
    for member in search.incumbent:
        cut = await search.race.ask_what_fits(member, items) or cut
        if cut and not search.matrix.scores(member, items):
            raise BudgetExhausted(cut)
        search.in_use.check_missing(member, items)
    for finalist in finalists:
        cut = await search.race.ask_what_fits(finalist, items) or cut
    return cut


def _paired(search: Search, contender: Contender, seen: Sequence[Item], items: Sequence[Item]) -> PairedScores:
    members, race = members_of(contender), search.race
    try:
        for member in members:
            search.in_use.check_missing(member, items)
    except TooManyMissing:
        # What a model refuses is seldom the easy part: on what is left the finalist would look too good.
        return PairedScores(contender.version, [], [])

    known = _pairs(search, members, items)
    price = sum(map(race.price, members)) - sum(map(race.price, search.incumbent))
    earlier = _pairs(search, members, seen) if _is_fixed(search, contender) else {}
    return PairedScores(
        contender.version,
        [one for one, _ in known.values()],
        [other for _, other in known.values()],
        price,
        [*earlier.values()],
        groups=[group_or_self(item) for item in (*earlier, *known)],
    )


def _pairs(search: Search, members: Sequence[Candidate], items: Sequence[Item]) -> dict[Item, tuple[float, float]]:
    """The two scores of each item that both answered."""
    both = {
        one: (voted_score(search.matrix, members, one), voted_score(search.matrix, search.incumbent, one))
        for one in items
    }
    return {item: (one, other) for item, (one, other) in both.items() if one is not None and other is not None}


def _is_fixed(search: Search, contender: Contender) -> bool:
    return isinstance(contender, Candidate) and search.is_fixed(contender)


def _shares(search: Search, contenders: Sequence[Contender]) -> list[float | None]:
    """The parts of the level, see `shares_of`; None where nothing was fixed before the search and all have the same."""
    share = search.fixed_share
    return list(shares_of([_is_fixed(search, one) for one in contenders], share)) if share else [None] * len(contenders)


def _ending(report: GateReport, contenders: Sequence[Contender], cut_short: str) -> Ending:
    if report.winner is None:
        return Ending("no_evidence", _compared(report.judged) + cut_short, gate=report, judged=tuple(contenders))
    winner = next(one for one in contenders if one.version == report.winner.version)
    gain = report.winner
    proven = tuple(one for one in contenders if one.version in report.proven)
    reason = (
        f"{_points(gain)} ({gain.seed_score:.2f} → {gain.score:.2f}) on {_items(gain)} "
        f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}; at the level of the test "
        f"at least {100 * gain.at_least:+.1f}), {said_p(gain.p_adjusted)}"
    )
    if isinstance(winner, Ensemble):
        reason += f"; {len(winner.members)} prompts vote, so every question takes {len(winner.members)} calls"
    elif winner.calibrated:
        reason += "; the gain includes label calibration"
    return Ending("improved", reason + cut_short, winner, report, proven, tuple(contenders))


def _points(judged: Finalist) -> str:
    """The gain; where tokens have a price, what it is made of."""
    before = judged.score - judged.seed_score
    if abs(before - judged.gain) < UNSEEN:
        return f"{100 * judged.gain:+.1f} points"
    cost = before - judged.gain
    parts = f"{100 * before:+.1f} {'−' if cost > 0.0 else '+'} {100 * abs(cost):.1f}"
    return f"{100 * judged.gain:+.1f} points after the price of its tokens ({parts})"


def _items(judged: Finalist) -> str:
    if judged.fresh_count == judged.pairs_count:
        return f"{judged.pairs_count} fresh items"
    return f"{judged.pairs_count} items ({judged.fresh_count} of them fresh, the others out of the thresholds' sight)"


def _compared(judged: Finalist | None) -> str:
    if judged is None:
        return "the model refused too many fresh items of every finalist to compare it with the seed prompt"
    return (
        f"on {_items(judged)} the best finalist has {judged.score:.2f} where the seed prompt has "
        f"{judged.seed_score:.2f}: {_points(judged)}, {said_p(judged.p_adjusted)}"
    )
