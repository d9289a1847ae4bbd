"""What do the gates let through while a loop is young, and what do they hold? The loop itself, cycle by cycle.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.young_champions [seeds] [first seed]

Sentiment140, polarity, 1,000 tweets in cycles of 100, and 4,000 held out. In four worlds: ``clean``; ``flipped``: every label of
one cycle (the third to the sixth) is turned round; ``wrong``: three labels of ten are; ``random``: all labels are noise. Judged is
each cycle in which there is no champion, or a young one. What a candidate *is* the held-out tweets say, against the champion
that it would replace (the mean of the feedback, where there is none): bad, if it loses 0.010 Brier points or more; better, if it
gains anything.

``missed``: bad ones that were promoted. ``waited``: better ones that were not, which costs one cycle each. ``answers``: accuracy
of what users got in cycles 2 to 10, against the true labels, beside the bare learner. Clopper-Pearson, 95 %.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np

from benchmarks.clrs.gates import interval
from benchmarks.clrs.learning import tweets
from meta_learning.clrs import ClosedLoopSystem, OnlineTextModel
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.events import CycleCompleted

EVENTS, CYCLE, HELD = 1_000, 100, 4_000
WORLDS = ("clean", "flipped", "wrong", "random")


def taught_scores(true: Floats, world: str, seed: int) -> Floats:
    """What users said."""
    draws, said = np.random.default_rng([41, seed]), true.copy()
    if world == "flipped":
        first = CYCLE * int(draws.integers(2, 6))
        said[first : first + CYCLE] = 1.0 - said[first : first + CYCLE]
    if world == "wrong":
        wrong = draws.random(len(true)) < 0.3
        said[wrong] = 1.0 - said[wrong]
    return draws.integers(2, size=len(true)).astype(float) if world == "random" else said


def brier(said: Floats, true: Floats) -> float:
    return float(((said - true) ** 2).mean())


def run(pairs: list[Pair], said: Floats, probe: list[Pair], clean: Floats) -> tuple[Floats, Counter[str]]:
    """The answers that users got, and how many young candidates of each kind met with what."""
    system, found, met = ClosedLoopSystem(cycle_size=CYCLE), list[Floats](), Counter[str]()
    for start in range(0, EVENTS, CYCLE):
        part = slice(start, start + CYCLE)
        found.append(system.scores(pairs[part]))
        before = brier(system.scores(probe), clean)
        cycle: CycleCompleted | None = None
        for (asked, answered), score in zip(pairs[part], said[part].tolist(), strict=True):
            cycle = system.collect_feedback(asked, answered, score)
        assert cycle is not None
        if cycle.champion_version is not None and not cycle.gate["before"]["young"]:
            continue
        lost = brier(system.models.candidate.predict(probe), clean) - before
        kind = "bad" if lost >= 0.010 else "better" if lost < 0.0 else "neither"
        met[f"{kind} {cycle.decision}"] += 1
    return np.concatenate(found), met


def bare(pairs: list[Pair], said: Floats) -> Floats:
    model, found = OnlineTextModel(), list[Floats]()
    for start in range(0, EVENTS, CYCLE):
        part = slice(start, start + CYCLE)
        found.append(model.predict(pairs[part]))
        model.learn(pairs[part], said[part])
    return np.concatenate(found)


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for world in WORLDS:
        met, loop, learner = Counter[str](), list[float](), list[float]()
        for seed in range(first, first + seeds):
            stream = tweets(seed, EVENTS + HELD)
            probe, clean = stream.pairs[EVENTS:], stream.taught[EVENTS:]
            pairs, true = stream.pairs[:EVENTS], stream.taught[:EVENTS]
            said = taught_scores(true, world, seed)
            answers, kinds = run(pairs, said, probe, clean)
            met += kinds
            for found, into in ((answers, loop), (bare(pairs, said), learner)):
                into.append(float(((found > 0.5) == (true > 0.5))[CYCLE:].mean()))
        bad, better = (sum(count for name, count in met.items() if name.startswith(kind)) for kind in ("bad", "better"))
        print(f"{world:8s}missed {interval(met['bad promoted'], bad)}  waited {interval(met['better held'], better)}")
        print(f"        answers: loop {np.mean(loop):.4f}, learner {np.mean(learner):.4f}  {dict(met)}", flush=True)


if __name__ == "__main__":
    main()
