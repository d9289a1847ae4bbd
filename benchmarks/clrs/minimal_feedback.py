"""How much of the accuracy is kept when only some answers are asked about? Random, least margin, and randomised margin sampling.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.minimal_feedback [--seeds 5] [--out figure.json]

Sentiment140, 5,000 tweets of each of the shuffles with seeds from 1 on, in blocks of 10; the answer shown is the one that the model
scores higher, and its score (right or wrong) is learnt only if it was asked about. Figures: accuracy of the shown answers over
the second half, asked about or not, and over 2,000 other tweets at the end; mean and Student's 95 % interval over the seeds.
``weighted`` learns with weights budget/p. ``estimate``: the weighted accuracy among the asked less the accuracy among all: the
bias that weights 1/p are to take away (``plain``: without them). The sharpness was chosen on seed 0.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.clrs.bandit_regret import tweets
from meta_learning.clrs import OnlineTextModel
from meta_learning.clrs.acting import Cause
from meta_learning.clrs.asking import Asker
from meta_learning.clrs.models.port import Floats

NAMES = ("negative", "positive")
BUDGETS = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
WAYS = ("random", "least margin", "randomised margin", "randomised margin, weighted")
BLOCK, COUNT, PROBE = 10, 5_000, 2_000


class LeastMargin:
    """Asks whenever the margin is below a threshold, which follows the budget; nothing is asked by chance."""

    def __init__(self, per_100: float) -> None:
        self.budget, self.threshold = per_100 / 100.0, 0.25 * per_100 / 100.0

    def asks(self, score: float) -> bool:
        """Whether to ask, and the threshold moved."""
        ask = abs(score - 0.5) <= self.threshold
        self.threshold = max(self.threshold + 0.01 * (self.budget - ask), 0.0)
        return ask


def best_of(scores: Floats) -> tuple[list[int], Floats]:
    table = scores.reshape(-1, len(NAMES))
    return table.argmax(axis=1).tolist(), table.max(axis=1)


def pairs_of(rows: list[tuple[str, int]]) -> list[tuple[str, str]]:
    return [(text, name) for text, _ in rows for name in NAMES]


def run(rows: list[tuple[str, int]], way: str, per_100: float, seed: int, sharpness: float = 12.0) -> dict[str, float]:
    model, asker, least, draws = OnlineTextModel(), Asker(per_100, sharpness), LeastMargin(per_100), random.Random(seed)
    right, weights = list[float](), list[float]()
    for first in range(0, COUNT, BLOCK):
        part = rows[first : first + BLOCK]
        shown, scores = best_of(model.predict(pairs_of(part)))
        asked = list[tuple[tuple[str, str], float, float]]()
        for place, ((text, label), answer, score) in enumerate(zip(part, shown, scores.tolist(), strict=True)):
            right.append(float(answer == label))
            weight = _weight(way, per_100, score, (asker, least, draws), Cause(seed, "bench", str(first + place)))
            weights.append(weight)
            if weight:
                cost = weight * per_100 / 100.0 if way.endswith("weighted") else 1.0
                asked.append(((text, NAMES[answer]), right[-1], cost))
        if asked:
            pairs, targets, costs = zip(*asked, strict=True)
            model.learn(list(pairs), np.array(targets), np.array(costs))
    probe = rows[COUNT : COUNT + PROBE]
    final = np.mean(
        [answer == label for answer, (_, label) in zip(best_of(model.predict(pairs_of(probe)))[0], probe, strict=True)]
    )
    return _figures(np.array(right), np.array(weights), float(final))


def _weight(
    way: str, per_100: float, score: float, deciders: tuple[Asker, LeastMargin, random.Random], cause: Cause
) -> float:
    asker, least, draws = deciders
    if way == "random" or per_100 >= 100.0:
        return 100.0 / per_100 if draws.random() < per_100 / 100.0 else 0.0
    if way == "least margin":
        return float(least.asks(score))
    asked = asker.should_ask(score, cause, "", "")
    return 1.0 / asked.propensity if asked.ask else 0.0


def _figures(right: Floats, weights: Floats, final: float) -> dict[str, float]:
    half = len(right) // 2
    late, told = right[half:], weights[half:]
    return {
        "second_half": float(late.mean()),
        "probe": final,
        "asked_per_100": 100.0 * float((weights > 0).mean()),
        "estimate": float((told * late).sum() / max(told.sum(), 1e-9) - late.mean()),
        "plain": float(late[told > 0].mean() - late.mean()) if (told > 0).any() else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    streams = {seed: tweets(seed)[: COUNT + PROBE] for seed in range(1, asked.seeds + 1)}
    curve = []
    print("labels % | way | second half | probe | asked per 100 | bias of the estimate, weighted / plain")
    for per_100 in BUDGETS:
        for way in WAYS if per_100 < 100.0 else WAYS[:1]:
            runs = [run(rows, way, per_100, seed) for seed, rows in streams.items()]
            point: dict[str, object] = {"labels_percent": per_100, "way": way}
            for name in runs[0]:
                found = np.array([one[name] for one in runs])
                half = float(stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5)
                point[name] = {
                    "mean": round(float(found.mean()), 4),
                    "half_width": round(half, 4),
                    "seeds": found.round(4).tolist(),
                }
            curve.append(point)
            told = {
                name: f"{part['mean']:.4f} ± {part['half_width']:.4f}"
                for name, part in point.items()
                if isinstance(part, dict)
            }
            shown = " | ".join(told[name] for name in ("second_half", "probe", "asked_per_100", "estimate"))
            print(f"{per_100:g} | {way} | {shown} / {told['plain']}", flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(curve, indent=1) + "\n")


if __name__ == "__main__":
    main()
