"""What finished cells amount to: one outcome an arm and budget, compared with the seed prompt and with the rivals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.acla_peers.cells import Bench, package_at
from benchmarks.acla_peers.settings import CURVE_ITEMS, PLANS
from meta_learning.acla.statistics import mcnemar_one_sided

RESAMPLES_COUNT = 4000
Rights = list[list[float]]
"""Right or wrong: one list a data seed, one number a test item."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An arm at a budget, over all data seeds."""

    arm: str
    budget: int
    rights: Rights
    said: list[list[str | None]]
    reported: list[float | None]
    prompts: list[str]

    @property
    def accuracy(self) -> float:
        """Mean over data seeds."""
        return fmean(map(fmean, self.rights))

    @property
    def optimism(self) -> float | None:
        """Reported minus held out, mean over the seeds in which the arm reports a score."""
        known = [one - fmean(right) for one, right in zip(self.reported, self.rights, strict=True) if one is not None]
        return fmean(known) if known else None

    def below(self, other: Outcome) -> int:
        """In how many data seeds it is worse than ``other``."""
        return sum(fmean(one) < fmean(two) for one, two in zip(self.rights, other.rights, strict=True))


def outcome(bench: Bench, cells: Sequence[dict[str, Any]], budget: int, count: int | None = None) -> Outcome:
    """The cells of one arm, one a data seed, read off after ``budget`` calls, on the first ``count`` test items."""
    packages = [_read_off(found, budget) for found in cells]
    rights, said = [], []
    for found, (package, _) in zip(cells, packages, strict=True):
        tested = bench.tested(found["task"], found["seed"])
        answers = tested.answers(package, None, count)
        said.append(answers)
        rights.append([float(one == right) for one, (_, right) in zip(answers, tested.items, strict=False)])
    return Outcome(
        cells[0]["arm"],
        budget,
        rights,
        said,
        [reported for _, reported in packages],
        [one["prompt"] for one, _ in packages],
    )


def _read_off(found: dict[str, Any], calls: int) -> tuple[dict[str, Any], float | None]:
    """The package and its reported score: at the end of the run, or before; before an arm's first state it is the seed prompt."""
    if calls >= found["budget"]:
        return found["package"], found["reported"]
    package = package_at(found, calls)
    if package is None:
        return found["start"], None
    return package, [one["reported"] for one in found["trace"] if one["calls"] <= calls][-1]


def interval(differences: Rights, seed: int = 0) -> tuple[float, float]:
    """Two-level bootstrap, 95 %: data seeds first, then test items within each."""
    rng, values = np.random.default_rng(seed), [np.asarray(one) for one in differences]
    means = []
    for _ in range(RESAMPLES_COUNT):
        drawn = rng.integers(0, len(values), size=len(values))
        means.append(
            np.mean([values[one][rng.integers(0, values[one].size, values[one].size)].mean() for one in drawn])
        )
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def differences(one: Outcome, other: Outcome) -> Rights:
    """Item by item."""
    return [
        [a - b for a, b in zip(mine, theirs, strict=True)]
        for mine, theirs in zip(one.rights, other.rights, strict=True)
    ]


def mcnemar(one: Outcome, other: Outcome) -> float:
    """Exact, two-sided, over the pairs of all data seeds."""
    pairs = [pair for row in differences(one, other) for pair in row]
    wins, losses = pairs.count(1.0), pairs.count(-1.0)
    return min(1.0, 2.0 * min(mcnemar_one_sided(wins, losses), mcnemar_one_sided(losses, wins)))


def macro_f1(found: Outcome, expected: Sequence[Sequence[str]]) -> float:
    """Mean over data seeds of the mean F1 of the labels."""
    return fmean(_macro_f1(said, right) for said, right in zip(found.said, expected, strict=True))


def _macro_f1(said: Sequence[str | None], right: Sequence[str]) -> float:
    scores = []
    for label in sorted(set(right)):
        hits = sum(one == two == label for one, two in zip(said, right, strict=True))
        total = said.count(label) + list(right).count(label)
        scores.append(2 * hits / total if total else 0.0)
    return fmean(scores)


def shares(found: Outcome) -> dict[str, float]:
    """How often each label was said, and ``none`` where the reply held no label."""
    counted = Counter(one or "none" for row in found.said for one in row)
    return {label: count / sum(counted.values()) for label, count in sorted(counted.items())}


def curve(bench: Bench, cells: Sequence[dict[str, Any]]) -> list[tuple[int, float]]:
    """Mean accuracy on the first test items of every data seed, of what the arm would have answered after so many calls."""
    points = PLANS[cells[0]["task"]].curve
    return [(calls, outcome(bench, cells, calls, CURVE_ITEMS).accuracy) for calls in points]


def calls_to_reach(points: Sequence[tuple[int, float]], accuracy: float) -> int | None:
    """The first point of a curve that is at ``accuracy`` or above; None if there is none."""
    return next((calls for calls, score in points if score >= accuracy), None)
