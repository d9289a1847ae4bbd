"""Are patterns found when they are there, and only then? False alarms of healthy loops, and how soon planted ones are seen.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.monitor.patterns_null [loops] [planted] [whole_loops] [first_whole]

Healthy loops of 50 cycles of 100: steady, learning from nothing, yes-or-no feedback, one-word outputs. ``whole_loops``
further ones run through `ClosedLoopSystem` with defaults on tweets drawn with replacement, so that also the model learns
(plateau was settled on the loops 0 to 11).
The goal is at most one alarm of any pattern in a hundred loops. A dummy that raises a random pattern in every fiftieth
cycle stands beside it.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter

import numpy as np

from benchmarks.monitor.null_drift import corpus
from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.statistics import wilson
from tests.core.clrs.planted import CHANGE_AT, KINDS, PLANTS, run

CYCLES = 50


def healthy(kind: str, loops: int) -> tuple[int, Counter[str]]:
    alarmed, names = 0, Counter[str]()
    for seed in range(loops):
        _, first = run(kind, seed, cycles=CYCLES)
        alarmed += bool(first)
        names.update(list(first))
    return alarmed, names


def planted(name: str, loops: int) -> str:
    wanted, plant = PLANTS[name]
    delays, others = [], Counter[str]()
    for seed in range(loops):
        _, first = run("steady", 10_000 + seed, plant, CYCLES)
        if (found := first.pop(wanted, 0)) >= CHANGE_AT:
            delays.append(found - CHANGE_AT)
        others.update(list(first))
    middle = f"median delay {statistics.median(delays):.0f} cycles, at most {max(delays)}" if delays else "never"
    return f"{name:28s} found in {len(delays)}/{loops}, {middle}; others: {dict(others) or 'none'}"


def whole(loops: int, first: int) -> tuple[int, Counter[str]]:
    texts, alarmed, names = corpus(), 0, Counter[str]()
    for seed in range(first, first + loops):
        draws, system = np.random.default_rng([5, seed]), ClosedLoopSystem(seed=seed)
        for _ in range(CYCLES * 100):
            text, liked = texts[int(draws.integers(len(texts)))]
            label = bool(draws.integers(2))
            system.collect_feedback(text, ("no", "yes")[label], float(label == liked), user_id=f"u{draws.integers(40)}")
        seen = system.get_system_summary()["patterns"]["last_seen"]
        alarmed += bool(seen)
        names.update(list(seen))
    return alarmed, names


def told(kind: str, alarmed: int, names: Counter[str], loops: int) -> str:
    low, high = wilson(alarmed / loops, loops, 1.645)
    return f"{kind:28s} {alarmed}/{loops} loops alarmed ({low:.2%} to {high:.2%}): {dict(names) or 'none'}"


def main(loops: int = 200, found: int = 20, whole_loops: int = 40, first: int = 12) -> None:
    total, alarms = 0, 0
    for kind in KINDS if loops else ():
        alarmed, names = healthy(kind, loops)
        total, alarms = total + loops, alarms + alarmed
        print(told(kind, alarmed, names, loops), flush=True)
    if loops:
        print(told("all of these", alarms, Counter(), total), flush=True)
    print(f"{'dummy':28s} {1 - (1 - 1 / 50) ** CYCLES:.0%} of loops alarmed")
    for name in PLANTS if found else ():
        print(planted(name, found), flush=True)
    if whole_loops:
        print(told("whole loops on tweets", *whole(whole_loops, first), whole_loops), flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:5]))
