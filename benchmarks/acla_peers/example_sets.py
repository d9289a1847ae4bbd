"""How far do sets of examples lie apart? Many sets of several sizes on the same items, read as text and as the most probable label.

    python -m benchmarks.acla_peers.example_sets --url http://127.0.0.1:8765/v1 [--task sentiment140] [--seed 0] [--items 200]
        [--sets 6]

Data seed 0, which no report uses. ``at random``: as they are drawn; ``in rounds``: every label once before any comes again. The spread
of true accuracies is what is left of the spread of measured ones beyond the noise of so many items.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from contextlib import closing
from math import sqrt
from statistics import fmean, pstdev

from benchmarks.acla_peers.items import TASKS, Pair, draw
from benchmarks.peers.acla_client import Client, package_text, read

SIZES = (1, 2, 3, 4, 6, 8, 12)
TEST_COUNT = 500


def in_rounds(items: Sequence[Pair], labels: Sequence[str], size: int, rng: random.Random) -> list[Pair]:
    """Every label once, in an order of its own, before any comes again."""
    queues = [rng.sample([one for one in items if one[1] == label], -(-size // len(labels))) for label in labels]
    return [one for turn in zip(*queues, strict=True) for one in rng.sample(turn, len(turn))][:size]


def beyond_noise(scores: Sequence[float], items_count: int) -> float:
    """The standard deviation of the truth behind the scores.

    >>> beyond_noise([0.5, 0.6, 0.5, 0.6], 10), round(beyond_noise([0.4, 0.7] * 9, 200), 2)
    (0.0, 0.15)
    """
    noise = fmean(score * (1.0 - score) for score in scores) / items_count
    return sqrt(max(0.0, pstdev(scores) ** 2 - noise))


def main() -> None:
    """Print a table."""
    said = argparse.ArgumentParser(description="How far sets of examples lie apart.")
    said.add_argument("--url", required=True)
    said.add_argument("--task", default="sentiment140")
    for name, default in (("seed", 0), ("items", 200), ("sets", 6)):
        said.add_argument(f"--{name}", type=int, default=default)
    asked = said.parse_args()
    task, rng = TASKS[asked.task], random.Random(f"m{asked.seed}")
    items = draw(task, asked.seed, TEST_COUNT)
    questions = items.test[: asked.items]
    every: list[tuple[float, float]] = []
    print(
        f"{len(questions)} items, {asked.sets} sets a row\n\n"
        "| examples | as text: mean | spread | best | by label: mean | spread | best |\n|---|---|---|---|---|---|---|"
    )
    with closing(Client(asked.url, f"sets:{task.name}:{asked.seed}", task.labels)) as client:
        for size in SIZES:
            for way in ("at random", "in rounds"):
                right = []
                for _ in range(asked.sets):
                    drawn = (
                        rng.sample(items.train, size)
                        if way == "at random"
                        else in_rounds(items.train, task.labels, size, rng)
                    )
                    answers = client.both_readings(
                        package_text(task.seed_prompt, drawn), [text for text, _ in questions]
                    )
                    right.append(_accuracies(answers, questions, task.labels))
                every += right
                print(f"| {size}, {way} | {_row(right, len(questions))} |", flush=True)
    print(f"| all {len(every)} | {_row(every, len(questions))} |")


def _accuracies(
    answers: Sequence[dict[str, object]], items: Sequence[Pair], labels: Sequence[str]
) -> tuple[float, float]:
    """As text, and by label."""
    text, label = (
        fmean(read(said, labels, by_label) == right for said, (_, right) in zip(answers, items, strict=True))
        for by_label in (False, True)
    )
    return text, label


def _row(right: Sequence[tuple[float, float]], items_count: int) -> str:
    columns = zip(*right, strict=True)
    return " | ".join(f"{fmean(one):.3f} | {beyond_noise(one, items_count):.3f} | {max(one):.3f}" for one in columns)


if __name__ == "__main__":
    main()
