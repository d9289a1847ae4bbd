"""One arm against others on the same items: paired tests, effect size, correction for their number, power.

>>> better = {str(n): float(n % 5 != 0) for n in range(100)}
>>> worse = {str(n): float(n % 2) for n in range(100)}
>>> found = compare("meta", better, {"static": worse})[0]
>>> found.against, round(found.gain, 2), found.p_adjusted < 0.01, found.wins
('static', 0.3, True, True)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import stats

from meta_learning.acla.statistics import holm
from meta_learning.experiments.clusters import clustered, group_sums, places_of
from meta_learning.experiments.intervals import Estimate, Floats, resampled

ALPHA = 0.05
SEEN_GAIN = 0.05
EXACT_PAIRS_MAX = 16
FLIPS_COUNT = 9999
Scores = Mapping[str, float]
Arm = tuple[str, Scores]
Groups = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``arm`` against another arm, on the ``pairs_count`` items that both answered.

    ``p_value`` is two-sided: McNemar's exact test for 0/1 scores, else a sign-flip test. ``p_adjusted`` is Holm's over the
    comparisons of one call. ``effect`` is Cohen's d of the paired differences. ``power_for_5_points`` is the chance that a
    true gain of 5 points would have been found on so many pairs that differ as often: below 0.8, "no difference" says little.
    Where several items are of one group, whole groups are resampled, their sums are tested by flipping signs, and the power is
    that of as many single pairs as the groups are worth; ``groups_count`` says how many there are (else None).
    """

    arm: str
    against: str
    pairs_count: int
    score: float | None
    other_score: float | None
    gain: float | None
    low: float | None
    high: float | None
    p_value: float
    p_adjusted: float
    effect: float | None
    power_for_5_points: float
    alpha: float
    groups_count: int | None = None

    @property
    def wins(self) -> bool:
        """Whether the evidence that ``arm`` is better is strong enough."""
        return self.gain is not None and self.gain > 0 and self.p_adjusted < self.alpha

    @property
    def loses(self) -> bool:
        """Whether the evidence that ``arm`` is worse is strong enough."""
        return self.gain is not None and self.gain < 0 and self.p_adjusted < self.alpha

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"wins": self.wins, "loses": self.loses}


def compare(
    arm: str,
    scores: Scores,
    others: Mapping[str, Scores],
    alpha: float = ALPHA,
    seed: int = 0,
    groups: Groups = MappingProxyType({}),
) -> list[Comparison]:
    """``arm`` against each of ``others``; scores are by item, and only items that both have are paired.

    ``groups``: of items that are of one user, thread or source, its name; others stand for themselves.
    """
    compared = [_pair((arm, scores), (against, other), seed, groups) for against, other in others.items()]
    adjusted = holm([one.p_value for one in compared])
    return [replace(one, p_adjusted=p, alpha=alpha) for one, p in zip(compared, adjusted, strict=True)]


def paired_p_value(differences: Floats, seed: int = 0) -> float:
    """Two-sided: exact McNemar (1947) where all differences are -1, 0 or 1, else a sign-flip permutation test.

    >>> paired_p_value(np.array([1.0] * 5))
    0.0625
    """
    discordant = differences[differences != 0]
    if discordant.size < 2:
        return 1.0  # one difference is as likely either way
    if np.isin(discordant, (-1.0, 1.0)).all():
        return float(stats.binomtest(int((discordant > 0).sum()), discordant.size).pvalue)
    found = stats.permutation_test(
        (discordant,),
        lambda drawn, axis: drawn.mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf if discordant.size <= EXACT_PAIRS_MAX else FLIPS_COUNT,
        vectorized=True,
        rng=np.random.default_rng(seed),
        batch=1000,
    )
    return float(found.pvalue)


def power(count: int, gain: float, discordant: float, alpha: float = ALPHA) -> float:
    """Chance that a two-sided paired test sees a true ``gain`` on ``count`` pairs of which a share ``discordant`` differ.

    Normal approximation (Connor, 1987).

    >>> round(power(468, 0.05, 0.15), 2)
    0.8
    """
    if count == 0:
        return 0.0
    differing = max(discordant, gain)
    shift = gain * math.sqrt(count) - stats.norm.ppf(1 - alpha / 2) * math.sqrt(differing)
    return float(stats.norm.cdf(shift / math.sqrt(max(differing - gain * gain, 1e-9))))


def _pair(ours: Arm, theirs: Arm, seed: int, groups: Groups) -> Comparison:
    (arm, scores), (against, other) = ours, theirs
    shared = sorted(scores.keys() & other.keys())
    mine, its = (np.array([one[item] for item in shared], dtype=np.float64) for one in (scores, other))
    if not shared:
        return Comparison(arm, against, 0, None, None, None, None, None, 1.0, 1.0, None, 0.0, ALPHA)
    differences, named = mine - its, [groups.get(item) for item in shared]
    gain, worth = _gain(differences, named, seed)
    spread = float(differences.std(ddof=1)) if len(shared) > 1 else 0.0
    places = places_of(named)
    p_value = paired_p_value(differences if places is None else group_sums(differences, places), seed)
    return Comparison(
        arm=arm,
        against=against,
        pairs_count=len(shared),
        score=float(mine.mean()),
        other_score=float(its.mean()),
        gain=gain.value,
        low=gain.low,
        high=gain.high,
        p_value=p_value,
        p_adjusted=p_value,
        effect=float(differences.mean()) / spread if spread else None,
        power_for_5_points=power(worth, SEEN_GAIN, float(np.abs(differences).mean())),
        alpha=ALPHA,
        groups_count=None if places is None else int(places.max()) + 1,
    )


def _gain(differences: Floats, groups: Sequence[str | None], seed: int) -> tuple[Estimate, int]:
    """The mean difference, and how many single pairs would tell as much: fewer, where those of a group go the same way."""
    plain = resampled(differences, lambda drawn: drawn.mean(axis=1), seed)
    rows = np.stack([differences, np.ones(len(differences))], axis=-1)
    gain = clustered([plain], rows, groups, lambda totals: totals[:, :1] / totals[:, 1:], seed)[0]
    if gain.low is None or gain.high is None or plain.low is None or plain.high is None:
        return gain, 0
    if gain.high == gain.low:
        return gain, len(differences)
    return gain, int(len(differences) * ((plain.high - plain.low) / (gain.high - gain.low)) ** 2)
