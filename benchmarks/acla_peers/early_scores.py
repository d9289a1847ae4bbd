"""How well do a few answers tell which of two prompts is better, once both have thresholds? On the kept answers to test items.

    python -m benchmarks.acla_peers.early_scores [--task sentiment140] [--seeds 9 10 11 12 13] [--test 500] [--draws 30]
        [--folder data/acla_peers]

The truth of a prompt is its accuracy over all test items of a data seed, with thresholds that did not see the item. Of each prompt
that some arm ended with, and of the seed prompt, the first few items of a random order are looked at in three ways: right or
wrong; chances by thresholds of one's own (the seed prompt's out of 48 items at least, as a search has them); chances after both
were freed of their leanings on those very items. Told: how the estimated difference to the seed prompt correlates with the true
one within a data seed, how often its sign is right, and the mean of both.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import correlation, fmean

from benchmarks.acla_peers.items import TASKS, draw
from meta_learning.acla.calibration import Calibration, Known, cross_fitted, levelled
from meta_learning.acla.prompt import Prompt

SEEN_COUNT = 48
COUNTS = (8, 16, 48, 96)
WAYS = ("right or wrong", "thresholds of one's own", "both levelled")
Estimates = dict[tuple[str, int], list[tuple[float, float]]]


def answers(folder: Path, task: str, seed: int, test_count: int) -> dict[str, list[Known]]:
    """By prompt, what it said of the labels of each test item that all prompts said something of."""
    right = [label for _, label in draw(TASKS[task], seed, test_count).test]
    found = (json.loads(file.read_text()) for file in sorted((folder / "tests").glob(f"{task}-{seed}-*.json")))
    said = {one["prompt"]: [row["logprobs"] for row in one["said"]] for one in found if len(one["said"]) >= test_count}
    places = [place for place in range(test_count) if all(rows[place] for rows in said.values())]
    return {prompt: [(rows[place], right[place]) for place in places] for prompt, rows in said.items()}


def truth(known: Sequence[Known]) -> float:
    """Accuracy by thresholds that did not see the item."""
    weights = cross_fitted(known)
    return fmean(
        float(weights[place % len(weights)].decision(said) == right) for place, (said, right) in enumerate(known)
    )


def chance(known: Sequence[Known], weights: Sequence[Calibration]) -> float:
    """The mean chance of the right label; each item by the weights of its fold."""
    return fmean(weights[place % len(weights)].probability(said, right) for place, (said, right) in enumerate(known))


def estimated(newcomer: Sequence[Known], seed: Sequence[Known], count: int) -> dict[str, float]:
    """The difference on the first ``count`` items, in each way."""
    few, same, before = newcomer[:count], seed[:count], seed[: max(SEEN_COUNT, count)]
    plain = [fmean(float(max(said, key=said.__getitem__) == right) for said, right in one) for one in (few, same)]
    own = chance(few, cross_fitted(few)) - chance(same, cross_fitted(before))
    even = chance(few, [levelled(few)]) - chance(same, [levelled(same)])
    return dict(zip(WAYS, (plain[0] - plain[1], own, even), strict=True))


def of_seed(folder: Path, task: str, seed: int, test_count: int, draws: int) -> Estimates:
    """Estimates with the truth, by way and number of items."""
    said = answers(folder, task, seed, test_count)
    first = Prompt.parse(TASKS[task].seed_prompt).render()
    true = {prompt: truth(known) for prompt, known in said.items()}
    found: Estimates = {}
    rng = random.Random(seed)
    for _ in range(draws):
        order = rng.sample(range(len(said[first])), len(said[first]))
        shuffled = {prompt: [known[place] for place in order] for prompt, known in said.items()}
        for prompt in (one for one in said if one != first):
            for count in COUNTS:
                for way, value in estimated(shuffled[prompt], shuffled[first], count).items():
                    found.setdefault((way, count), []).append((value, true[prompt] - true[first]))
    return found


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description="What a few answers tell of a prompt with thresholds.")
    asked.add_argument("--task", default="sentiment140")
    asked.add_argument("--seeds", type=int, nargs="+", default=[9, 10, 11, 12, 13])
    asked.add_argument("--test", type=int, default=500)
    asked.add_argument("--draws", type=int, default=30)
    asked.add_argument("--folder", type=Path, default=Path("data/acla_peers"))
    said = asked.parse_args()
    by_seed = [of_seed(said.folder, said.task, seed, said.test, said.draws) for seed in said.seeds]
    print("| items | way | correlation | sign right | mean estimate | mean truth |\n|---|---|---|---|---|---|")
    for count in COUNTS:
        for way in WAYS:
            rows = [one[way, count] for one in by_seed]
            every = [pair for row in rows for pair in row]
            within = fmean(correlation(*zip(*row, strict=True)) for row in rows)
            sign = fmean(float((value > 0) == (true > 0)) for value, true in every)
            means = (f"{fmean(column):+.3f}" for column in zip(*every, strict=True))
            print(f"| {count} | {way} | {within:.2f} | {sign:.2f} | {' | '.join(means)} |")


if __name__ == "__main__":
    main()
