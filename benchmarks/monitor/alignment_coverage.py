"""Does the interval of alignment hold at all looks at once? The share of streams in which any look missed the truth.

    python -m benchmarks.monitor.alignment_coverage [streams] [batches]

The truth of each stream's kind is the mean concordance of a million pairs. A miss is one look, of all looks over all
windows, at which the concordance's interval does not hold it. Widths are those at the 10th and at the last look.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from meta_learning.clrs import AlignmentScorer, Exchange
from meta_learning.clrs.alignment.comparison import tally
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import wilson

Drawn = tuple[Floats, Floats]
Draw = Callable[[np.random.Generator, int], Drawn]


def chance(draws: np.random.Generator, count: int) -> Drawn:
    """Predictions that know nothing."""
    return draws.random(count), draws.random(count)


def binary(draws: np.random.Generator, count: int) -> Drawn:
    """Half likes, half dislikes; concordance .80."""
    true = draws.integers(2, size=count).astype(float)
    return np.clip(0.3 * true + 0.35 + 0.25 * draws.normal(size=count), 0, 1), true


def rare(draws: np.random.Generator, count: int) -> Drawn:
    """One dislike in ten."""
    true = (draws.random(count) > 0.1).astype(float)
    return np.clip(0.3 * true + 0.35 + 0.25 * draws.normal(size=count), 0, 1), true


def stars(draws: np.random.Generator, count: int) -> Drawn:
    """Five stars, coarse predictions with ties."""
    true = draws.integers(5, size=count).astype(float) / 4
    return np.clip(true + 0.4 * draws.normal(size=count), 0, 1).round(1), true


def sure(draws: np.random.Generator, count: int) -> Drawn:
    """Nearly perfect: concordance .99."""
    true = draws.random(count)
    return np.clip(true + 0.012 * draws.normal(size=count), 0, 1), true


KINDS: dict[str, tuple[Draw, int, int]] = {
    "chance": (chance, 100, 0),
    "binary": (binary, 100, 0),
    "rare": (rare, 100, 0),
    "stars": (stars, 100, 0),
    "sure": (sure, 100, 0),
    "binary, batches of 10": (binary, 10, 0),
    "binary, 8 users": (binary, 100, 8),
    "stars, logged with propensities": (stars, 100, -1),
}


def misses(kind: str, streams: int, batches: int) -> tuple[int, list[float]]:
    draw, size, users = KINDS[kind]
    truth = np.mean([tally(*draw(np.random.default_rng([9, part]), 2000)).value for part in range(50)])
    missed, widths = 0, []
    for seed in range(streams):
        draws, scorer, inside = np.random.default_rng([3, seed]), AlignmentScorer(), True
        for look in range(batches):
            predicted, true = draw(draws, size)
            scorer.update(predicted, true, exchanges(draws, size, users))
            found = scorer.result()
            if found["concordance"] is not None:
                inside &= bool(found["concordance_low"] <= truth <= found["concordance_high"])
                if look in (9, batches - 1):
                    widths.append(found["concordance_high"] - found["concordance_low"])
        missed += not inside
    return missed, widths


def exchanges(draws: np.random.Generator, size: int, users: int) -> list[Exchange] | None:
    if users == 0:
        return None
    if users < 0:
        return [Exchange("", "", propensity=float(p)) for p in draws.choice([0.05, 0.5, 1.0], size)]
    return [Exchange("", "", user_id=f"u{user}") for user in draws.integers(users, size=size)]


def main(streams: int = 500, batches: int = 60) -> None:
    print(f"{streams} streams of {batches} looks each; at most 5 % may miss")
    for kind in KINDS:
        missed, widths = misses(kind, streams, batches)
        high = wilson(missed / streams, streams, 1.645)[1]
        print(
            f"{kind:32s} missed {missed:3d} ({missed / streams:.1%}, upper 95 % bound {high:.1%})"
            f"  width {np.mean(widths[0::2]):.3f} at look 10, {np.mean(widths[1::2]):.3f} at the last"
        )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
