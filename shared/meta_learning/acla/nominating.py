"""Who is asked the fresh items: whoever raises what the gate can be expected to let through, as far as the calls reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from meta_learning.acla.ensembles import Contender, members_of
from meta_learning.acla.racing.shrinkage import Gain

Floats = npt.NDArray[np.float64]

# With less of a chance than this to be better at all, nobody is worth a test: the others would pay for it with their levels.
CHANCE_MIN = 0.05
NOMINEES_COUNT_MAX, CONSIDERED_COUNT_MAX = 6, 12
DRAWS_COUNT = 2000
# Two packages never differ on fewer items than this, however equal they were on those that both were asked.
DISCORDANT_MIN = 0.02
# By what factor one more must raise the expected gain to be nominated: what is believed is rough. Voting, which was asked for, must
# raise it by no more than this.
RAISE_MIN, VOTING_RAISE_MAX = 1.1, 0.005
# Of the level, for a package that was fixed before the search: more where it decides otherwise on more items.
FIXED_SHARE_MAX, FIXED_SHARE_PER_DISCORDANT = 0.5, 2.0
# All are compared with the same answers of what is in use: so much of the noise, in variance, is common to them.
COMMON_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Nominee:
    """A package, or several that vote, the gain over what is in use (shrunken, in right answers), and the share of items on which the
    two differ.

    ``is_fixed``: it was fixed before the search, so that the pairs of the search count in its test.
    """

    candidate: Contender
    gain: Gain
    discordant: float
    is_fixed: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What a gate can be: ``items_for(n)`` fresh items where ``n`` prompts besides those ``in_use`` (versions) are asked them.

    ``further_for(n)``: so many items of the search besides, those that nobody was asked in it.
    """

    items_for: Callable[[int], int]
    in_use: frozenset[str]
    prompts_max: int
    alpha: float
    fixed_share: float = 0.0
    further_for: Callable[[int], int] = lambda count: 0

    def prompts_count(self, slate: Sequence[Nominee]) -> int:
        """Prompts that have to be asked; other packages of the same prompt cost no call."""
        return len({voter.prompt.version for one in slate for voter in members_of(one.candidate)} - self.in_use)

    def worth(self, slate: Sequence[Nominee]) -> float:
        """The gain that is expected of whoever the gate lets through."""
        levels = [self.alpha * share for share in shares_of([one.is_fixed for one in slate], self.fixed_share)]
        count = self.prompts_count(slate)
        return expected_gain(slate, self.items_for(count) + self.further_for(count), levels)


def fixed_share_of(discordant: float) -> float:
    """The part of the level for a package that was fixed before the search and differs on such a share of its items.

    Its test is exact for any number of items on which the two differ (McNemar's condition), so this may look at that number, but
    not at who is right on them.

    >>> fixed_share_of(0.1), fixed_share_of(0.4)
    (0.2, 0.5)
    """
    return min(FIXED_SHARE_MAX, FIXED_SHARE_PER_DISCORDANT * max(discordant, DISCORDANT_MIN))


def shares_of(is_fixed: Sequence[bool], fixed_share: float) -> list[float]:
    """Parts of the level: what was fixed before the search has its own, whoever is nominated beside it; the others share the rest.

    Were its part free for others, or theirs for it, whenever they are not nominated, then the level would depend on the
    pairs of the search, which its test counts.

    >>> shares_of([True, False, False], 0.5), shares_of([True], 0.5), shares_of([False], 0.0)
    ([0.5, 0.25, 0.25], [0.5], [1.0])
    """
    others = sum(not one for one in is_fixed)
    return [fixed_share if one else (1.0 - fixed_share) / others for one in is_fixed]


def nominated(nominees: Sequence[Nominee], terms: Terms) -> list[Nominee]:
    """The slate with the largest expected gain, grown one by one, the largest gain first; empty where nobody has a chance."""
    hopeful = [one for one in nominees if one.gain.chance_above(0.0) >= CHANCE_MIN]
    # Whoever was fixed before asks no call and has a level of its own, so that it costs the others nothing.
    slate = [one for one in hopeful if one.is_fixed]
    hopeful = sorted(hopeful, key=lambda one: -one.gain.mean)[:CONSIDERED_COUNT_MAX]
    least = RAISE_MIN * terms.worth(slate)
    while len(slate) < NOMINEES_COUNT_MAX:
        longer = [[*slate, one] for one in hopeful if one not in slate]
        allowed = [(terms.worth(one), one) for one in longer if terms.prompts_count(one) <= terms.prompts_max]
        worth, found = max(allowed, key=lambda one: one[0], default=(0.0, []))
        if worth <= least:
            break
        slate, least = found, worth * RAISE_MIN
    return sorted(slate, key=lambda one: -one.gain.mean)


def with_votes(slate: Sequence[Nominee], together: Nominee, best: Nominee, terms: Terms) -> list[Nominee]:
    """The slate, or where more is expected of it one in which several vote ``together``, with or without the ``best`` of them alone.

    Its prompts are asked what others would be, so it must raise the expected gain as another nominee must, or by half a point.
    """
    if together.gain.chance_above(0.0) < CHANCE_MIN:
        return list(slate)
    fixed = [one for one in slate if one.is_fixed]
    beside = [] if best in fixed or best.gain.chance_above(0.0) < CHANCE_MIN else [best]
    voting = [
        one
        for one in ([together, *beside, *fixed], [together, *fixed])
        if terms.prompts_count(one) <= terms.prompts_max
    ]
    found = max(voting, key=terms.worth, default=[])
    alone = terms.worth(slate)
    return found if terms.worth(found) > min(RAISE_MIN * alone, alone + VOTING_RAISE_MAX) else list(slate)


def expected_gain(slate: Sequence[Nominee], items_count: int, levels: Sequence[float]) -> float:
    """What a gate of so many items brings on average: each true gain drawn from what is believed, then seen through the noise.

    ``levels``: for each of the slate the level that it is tested at, Holm's first step.

    >>> sure, doubtful = (Nominee(None, Gain(mean, 0.02, mean, 100), 0.15) for mean in (0.08, 0.0))  # type: ignore[arg-type]
    >>> alone = [expected_gain([one], 100, [0.1]) for one in (sure, doubtful)]
    >>> alone[0] > expected_gain([sure, doubtful], 100, [0.05, 0.05]) > alone[1] > 0.0
    True
    """
    if not slate or items_count <= 0:
        return 0.0
    believed, noise = _draws()
    wide = len(slate)
    mean, sd = (np.array([getattr(one.gain, name) for one in slate])[:, None] for name in ("mean", "sd"))
    spread = np.array([[math.sqrt(max(one.discordant, DISCORDANT_MIN))] for one in slate])
    error = spread / math.sqrt(items_count)
    true = mean + sd * believed[:wide]
    seen = true + error * noise[:wide]
    # What is believed of each afterwards, and what its test counts.
    after = (mean * error**2 + seen * sd**2) / (error**2 + sd**2)
    earlier = np.array([[one.gain.count if one.is_fixed else 0] for one in slate])
    raw = np.array([[one.gain.raw] for one in slate])
    counted = items_count + earlier
    tested = (items_count * seen + earlier * raw) / counted
    # The exact test asks for about one win more than the normal approximation.
    wanted = np.array([[NormalDist().inv_cdf(1.0 - level)] for level in levels])
    after[tested <= wanted * spread / np.sqrt(counted) + 1.0 / counted] = -np.inf
    winner = after.argmax(axis=0)
    won = true[winner, np.arange(true.shape[1])]
    return float(np.where(np.isfinite(after.max(axis=0)), won, 0.0).mean())


@lru_cache(maxsize=1)
def _draws() -> tuple[Floats, Floats]:
    """The same for every slate, so that slates are compared without chance between them."""
    rng = np.random.default_rng(0)
    own, common = rng.standard_normal((2, NOMINEES_COUNT_MAX, DRAWS_COUNT)), rng.standard_normal((2, 1, DRAWS_COUNT))
    believed, noise = math.sqrt(1.0 - COMMON_SHARE) * own + math.sqrt(COMMON_SHARE) * common
    return believed, noise
