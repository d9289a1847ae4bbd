"""How often is a plan of thresholds called a gain where there is none, if more items are asked where the model leans to a label?

    python -m benchmarks.acla.leaning [--runs 600]

Simulated answers of a model that guesses among five labels, among two, and of one that tells something and is best left without
thresholds. The test counts the items of the search, each by thresholds that did not see it, and 60 fresh ones. First table: the share
of tests below .1 and below .05 with 100 items of the search, with 200, and with 200 only where the first 100 lean. Second: 60
items of the search that nobody was asked in it, judged by folds that were fitted on the others of them too, against
thresholds frozen before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np

from meta_learning.acla.calibration import UNCALIBRATED, Calibration, Known, cross_fitted, fitted, leans
from meta_learning.acla.statistics import mcnemar_one_sided

FEW, MANY, FRESH = 100, 200, 60
SEEN, UNSEEN = 66, 60
LEVELS = (0.1, 0.05)
Model = Callable[[np.random.Generator, int], list[Known]]


def guessing(labels: str) -> Model:
    """Log-probabilities that have nothing to do with the right label."""

    def drawn(rng: np.random.Generator, count: int) -> list[Known]:
        said = rng.normal(0.0, 1.0, (count, len(labels))).tolist()
        return [(dict(zip(labels, row, strict=True)), labels[rng.integers(len(labels))]) for row in said]

    return drawn


def telling(rng: np.random.Generator, count: int) -> list[Known]:
    """Two labels, told apart somewhat, level and as frequent: no threshold helps."""
    right = rng.random(count) < 0.5
    odds = rng.normal(0.0, 1.0, count) + np.where(right, 0.5, -0.5)
    return [({"a": -one / 2, "b": one / 2}, "b" if yes else "a") for one, yes in zip(odds, right, strict=True)]


def by_folds(known: Sequence[Known]) -> list[Calibration]:
    """For each item thresholds that did not see it."""
    fits = cross_fitted(known)
    return [fits[place % len(fits)] for place in range(len(known))]


def p_value(known: Sequence[Known], weights: Sequence[Calibration]) -> float:
    """Of thresholds against none."""
    pairs = [
        (one.decision(said) == right, UNCALIBRATED.decision(said) == right)
        for one, (said, right) in zip(weights, known, strict=True)
    ]
    return mcnemar_one_sided(sum(one > other for one, other in pairs), sum(one < other for one, other in pairs))


def asked(searched: Sequence[Known], fresh: Sequence[Known]) -> float:
    """The p-value with the pairs of the search counted."""
    return p_value([*searched, *fresh], [*by_folds(searched), *[fitted(searched)] * len(fresh)])


def stopping(model: Model, rng: np.random.Generator) -> tuple[float, ...]:
    """With few items, with many, and with many where the few lean."""
    many, fresh = model(rng, MANY), model(rng, FRESH)
    few = many[:FEW]
    leaning = leans([(UNCALIBRATED.decision(said), right) for said, right in few])
    values = asked(few, fresh), asked(many, fresh)
    return (*values, values[leaning])


def unseen(model: Model, rng: np.random.Generator) -> tuple[float, ...]:
    """The unseen items judged by folds of all, and by thresholds of those seen before."""
    known, fresh = model(rng, SEEN + UNSEEN), model(rng, FRESH)
    new = [*known[SEEN:], *fresh]
    frozen = [fitted(known[:SEEN])] * len(new)
    return p_value(new, [*by_folds(known)[SEEN:], *[fitted(known)] * FRESH]), p_value(new, frozen)


def shares(values: Sequence[Sequence[float]]) -> str:
    """Of each design the shares below the levels."""
    table = np.asarray(values)
    return " | ".join(" / ".join(f"{(column < level).mean():.3f}" for level in LEVELS) for column in table.T)


def main() -> None:
    """Print both tables."""
    said = argparse.ArgumentParser(description="False alarms of thresholds that are asked for where a model leans.")
    said.add_argument("--runs", type=int, default=600)
    runs = said.parse_args().runs
    models = {"guesses, 5 labels": guessing("abcde"), "guesses, 2 labels": guessing("ab"), "tells, none helps": telling}
    designs = {"100 items | 200 items | 200 where they lean": stopping, "folds of all | frozen": unseen}
    for heading, design in designs.items():
        print(f"| model | {heading} |\n" + "|---" * (2 + heading.count("|")) + "|")
        for name, model in models.items():
            values = [design(model, np.random.default_rng(number)) for number in range(runs)]
            print(f"| {name} | {shares(values)} |", flush=True)


if __name__ == "__main__":
    main()
