"""What does poisoned feedback cost, and what does per-user trust save? The loop itself, gates on, in five worlds.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.poisoning [events] [seeds] [first seed]

Sentiment140, polarity, 50 users who rate tweets in random order, of whom a share is malicious:

- opposite: they always say the opposite;
- turning: they behave for the first half of the stream and say the opposite from then on;
- random: they say anything (spam).

Arms: the bare learner, the loop without trust (``trust_slack=1``) and the loop with it. Judged are the champion's predictions
before they were learnt in the second half of the stream (against the true label, whoever rated), and the clean probe: 4,000
tweets that nobody rated, at the end. ``distrusted``: share of malicious / of honest feedback that was left out of that half.
Settings were chosen on seed 0.
"""

from __future__ import annotations

import csv
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from meta_learning.clrs import ClosedLoopSystem, LoopSettings, OnlineTextModel
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.events import CycleCompleted

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data"))
USERS, PROBE, CYCLE = 50, 4_000, 100
WORLDS = [("none", 0.0), *(("opposite", share) for share in (0.1, 0.2, 0.3, 0.4))]
WORLDS += [("turning", share) for share in (0.3, 0.4)] + [("random", 0.3)]


def tweets(seed: int) -> tuple[list[Pair], Floats]:
    with (DATA / "sentiment140_train_20k_head_tail.csv").open(encoding="latin-1", newline="") as file:
        rows = list(csv.reader(file))
    random.Random(seed).shuffle(rows)
    return [(row[5], "sentiment") for row in rows], np.array([float(row[0] == "4") for row in rows])


def rated(true: Floats, kind: str, share: float, seed: int) -> tuple[list[str], Floats, np.ndarray]:
    """Who rated each event, what they said, and whether they are malicious."""
    draws = np.random.default_rng([23, seed])
    who = draws.integers(USERS, size=len(true))
    bad = who < round(share * USERS)
    lying = bad & (np.arange(len(true)) >= (len(true) // 2 if kind == "turning" else 0))
    said = np.where(lying, draws.integers(2, size=len(true)) if kind == "random" else 1.0 - true, true)
    return [f"u{user}" for user in who.tolist()], said.astype(float), bad


def right(found: Floats, true: Floats) -> float:
    return float(((found >= 0.5) == (true >= 0.5)).mean())


def bare(pairs: list[Pair], said: Floats, probe: list[Pair]) -> tuple[Floats, Floats]:
    model, found = OnlineTextModel(), []
    for start in range(0, len(said), CYCLE):
        part = slice(start, start + CYCLE)
        found.append(model.predict(pairs[part]))
        model.learn(pairs[part], said[part])
    return np.concatenate(found), model.predict(probe)


def looped(
    pairs: list[Pair], said: Floats, users: list[str], probe: list[Pair], slack: float
) -> tuple[Floats, Floats, list[CycleCompleted]]:
    system, cycles = ClosedLoopSystem(settings=LoopSettings(trust_slack=slack)), list[CycleCompleted]()
    for (asked, answered), score, user in zip(pairs, said.tolist(), users, strict=True):
        cycle = system.collect_feedback(asked, answered, score, user_id=user)
        cycles += [cycle] if cycle is not None else []
    found = [cycle.predictions or (0.5,) * CYCLE for cycle in cycles]
    return np.concatenate([np.array(part) for part in found]), system.scores(probe), cycles


def left_out(cycles: list[CycleCompleted], bad: np.ndarray) -> tuple[float, float]:
    """Share of malicious and of honest feedback that was distrusted in the second half."""
    out = np.zeros(len(bad), dtype=bool)
    for at, cycle in enumerate(cycles):
        out[[at * CYCLE + place for place in cycle.left_out.get("distrusted", ())]] = True
    last = slice(len(bad) // 2, None)
    shares = [out[last][bad[last] == who] for who in (True, False)]
    return tuple(float(part.mean()) if len(part) else float("nan") for part in shares)  # type: ignore[return-value]


def world(kind: str, share: float, events: int, seed: int) -> dict[str, tuple[float, ...]]:
    pairs, true = tweets(seed)
    probe, clean = pairs[-PROBE:], true[-PROBE:]
    pairs, true = pairs[:events], true[:events]
    users, said, bad = rated(true, kind, share, seed)
    last = slice(events // 2, None)
    result: dict[str, tuple[float, ...]] = {}
    found, on_probe = bare(pairs, said, probe)
    result["bare"] = (right(found[last], true[last]), right(on_probe, clean))
    for name, slack in (("no trust", 1.0), ("trust", 0.05)):
        found, on_probe, cycles = looped(pairs, said, users, probe, slack)
        flagged = sum("possible poisoning" in " ".join(cycle.reasons) for cycle in cycles)
        result[name] = (right(found[last], true[last]), right(on_probe, clean), *left_out(cycles, bad), float(flagged))
    return result


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 16_000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    started = time.process_time()
    print(f"{events} events, {USERS} users, seeds {first} to {first + count - 1} (mean); second half / clean probe")
    for kind, share in WORLDS:
        runs: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for seed in range(first, first + count):
            for name, numbers in world(kind, share, events, seed).items():
                runs[name].append(numbers)
        means = {name: [statistics.fmean(part) for part in zip(*found, strict=True)] for name, found in runs.items()}
        line = "  ".join(f"{name} {found[0]:.3f} / {found[1]:.3f}" for name, found in means.items())
        malicious, honest, flagged = means["trust"][2:]
        print(
            f"{kind:9s}{share:4.0%}  {line}  distrusted {malicious:.0%} / {honest:.1%}, flagged cycles {flagged:.0f}",
            flush=True,
        )
    print(f"{time.process_time() - started:.0f} CPU-s")


if __name__ == "__main__":
    main()
