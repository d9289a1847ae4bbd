"""Does a replay reservoir help when an old concept comes back? The learner alone on A, B, A of 2,000 tweets each.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.recurring [seeds]

``turned``: in B every label is the opposite; ``foreign``: B is MLQE-PE ru-en. Prequential accuracy in cycles of 100.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks.clrs.poisoning import tweets
from benchmarks.streams import translations
from meta_learning.clrs import Exchange, OnlineTextModel
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.clrs.reservoir import Reservoir

PART, CYCLE = 2_000, 100
ARMS = ((0, 0.0), (2_000, 1.0), (2_000, 4.0))


def stream(world: str, seed: int) -> tuple[list[Pair], Floats]:
    pairs, scores = tweets(seed)
    pairs, scores = pairs[: 3 * PART], scores[: 3 * PART].copy()
    if world == "turned":
        scores[PART : 2 * PART] = 1.0 - scores[PART : 2 * PART]
    else:
        pairs[PART : 2 * PART], scores[PART : 2 * PART], _ = translations(PART)
    return pairs, scores


def learnt(pairs: list[Pair], scores: Floats, size: int, share: float) -> tuple[Floats, float]:
    model, kept, found, started = OnlineTextModel(), Reservoir(size), [], time.process_time()
    for start in range(0, len(pairs), CYCLE):
        part = slice(start, start + CYCLE)
        found.append(model.predict(pairs[part]))
        old, targets = kept.draw(round(CYCLE * share), start)
        model.learn(pairs[part], scores[part])
        model.learn(old, targets)
        if size:
            kept.add([Exchange(*pair) for pair in pairs[part]], scores[part])
    return np.concatenate(found), time.process_time() - started


def main() -> None:
    print("accuracy on A, on B, on the first 500 of A again, on all of A again")
    for world in ("turned", "foreign"):
        for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
            pairs, scores = stream(world, seed)
            for size, share in ARMS:
                found, spent = learnt(pairs, scores, size, share)
                right = (found >= 0.5) == (scores >= 0.5)
                parts = [right[:PART], right[PART : 2 * PART], right[2 * PART : 2 * PART + 500], right[2 * PART :]]
                said = "  ".join(f"{part.mean():.4f}" for part in parts)
                print(f"{world:8s} seed {seed}  {size:5d} kept, {share:.0f} old per new:  {said}  {spent:.1f} CPU-s")


if __name__ == "__main__":
    main()
