"""How often a 95 % interval holds the truth where items come in groups: item by item, and by groups.

    PYTHONPATH=.:shared python -m benchmarks.studies.grouped_intervals

Right or wrong with a mean of 0.7; items of one group correlate by ``alike`` (beta-binomial). 500 runs a row, 16 CPU-s in all.
"""

from __future__ import annotations

import numpy as np

from meta_learning.experiments.clusters import clustered_mean
from meta_learning.experiments.intervals import Estimate, mean

TRUTH, RUNS_COUNT = 0.7, 500
CASES = ((40, 8, 0.3), (12, 20, 0.3), (6, 20, 0.3), (200, 3, 0.2), (40, 8, 0.0001))


def coverage(groups_count: int, each: int, alike: float, runs_count: int = RUNS_COUNT) -> tuple[float, float]:
    """The shares of runs whose interval holds the truth: item by item, and by groups."""
    rng, scale = np.random.default_rng(9), (1 - alike) / alike
    names = [str(number // each) for number in range(groups_count * each)]
    found = []
    for run in range(runs_count):
        rates = rng.beta(TRUTH * scale, (1 - TRUTH) * scale, size=groups_count)
        marks = (rng.random((groups_count, each)) < rates[:, None]).astype(float).ravel().tolist()
        found.append((_holds(mean(marks, run)), _holds(clustered_mean(marks, names, run))))
    plain, grouped = zip(*found, strict=True)
    return sum(plain) / runs_count, sum(grouped) / runs_count


def _holds(estimate: Estimate) -> bool:
    return estimate.low is not None and estimate.high is not None and estimate.low <= TRUTH <= estimate.high


if __name__ == "__main__":
    print("groups  items each  alike   item by item  by groups")
    for groups_count, each, alike in CASES:
        plain, grouped = coverage(groups_count, each, alike)
        print(f"{groups_count:6}  {each:10}  {alike:5.1f}  {plain:13.3f}  {grouped:9.3f}")
