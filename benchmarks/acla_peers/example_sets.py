"""How far do sets of examples lie apart? Many sets of several sizes on the same items, read as text and as the most probable label.

    python -m benchmarks.acla_peers.example_sets --url http://127.0.0.1:8765/v1 [--task sentiment140] [--seed 0] [--items 200]
        [--sets 6] [--kinds 0]

Data seed 0, which no report uses. ``at random``: as they are drawn; ``in rounds``: every label once before any comes again. The spread
of true accuracies is what is left of the spread of measured ones beyond the noise of so many items. A second table: how good,
on the other items, are the best set and the best third by a few items, as text: by right answers alone, and with leanings
(`racing.leaning`)? With ``--kinds 10`` only this is asked instead: ten sets each of the kinds that the search draws.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from contextlib import closing
from math import sqrt
from statistics import correlation, fmean, pstdev

from benchmarks.acla_peers.items import TASKS, Pair, Task, draw
from benchmarks.peers.acla_client import Client, package_text, read
from meta_learning.acla.racing.leaning import cost_of, leaning
from meta_learning.acla.racing.shrinkage import shrunken_gain
from meta_learning.acla.splits import read_items
from meta_learning.acla.strategies import Answered
from meta_learning.acla.strategies.few_shot_optimization import COUNTS, drawn_sets

SIZES = (1, 2, 3, 4, 6, 8, 12)
TEST_COUNT = 500
FEW, DRAWS_COUNT = (8, 16, 24, 48, 66, 100), 400
Read = list[str | None]


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
    for name, default in (("seed", 0), ("items", 200), ("sets", 6), ("kinds", 0)):
        said.add_argument(f"--{name}", type=int, default=default)
    asked = said.parse_args()
    task, rng = TASKS[asked.task], random.Random(f"m{asked.seed}")
    items = draw(task, asked.seed, TEST_COUNT)
    questions = items.test[: asked.items]
    if asked.kinds:
        with closing(Client(asked.url, f"kinds:{task.name}:{asked.seed}", task.labels)) as client:
            kinds(client, task, items.train, questions, asked.kinds, asked.seed)
        return
    every: list[tuple[float, float]] = []
    texts: list[Read] = []
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
                    texts.append([read(one, task.labels, by_label=False) for one in answers])
                every += right
                print(f"| {size}, {way} | {_row(right, len(questions))} |", flush=True)
    print(f"| all {len(every)} | {_row(every, len(questions))} |")
    labels = [label for _, label in questions]
    apart = [abs(said.count(task.labels[0]) - said.count(task.labels[1])) / len(said) for said in texts]
    together = correlation(apart, [text for text, _ in every])
    print(f"\none label said more often, mean share: {fmean(apart):.2f}; correlation with accuracy: {together:.2f}\n")
    print(
        "| items | best: by right answers | with leanings | best third: by right answers | with leanings |\n|---|---|---|---|---|"
    )
    for count in FEW:
        print(f"| {count} | " + " | ".join(f"{one:.3f}" for one in picked(texts, labels, count)) + " |")


def kinds(
    client: Client, task: Task, train: Sequence[Pair], questions: Sequence[Pair], sets_count: int, seed: int
) -> None:
    """Print a table of the kinds of sets that the search draws, out of what the seed prompt answers on the items to learn from."""
    learnt = read_items([{"input": text, "expected": label} for text, label in train])
    answers = client.both_readings(package_text(task.seed_prompt, []), [item.input for item in learnt])
    known = [Answered(item, read(one, task.labels, by_label=False)) for item, one in zip(learnt, answers, strict=True)]
    right = [one for one in known if one.answer == one.item.expected]
    wrong = [one for one in known if one.answer != one.item.expected]
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(sets_count):
        rng = random.Random(f"{seed}:{number}")
        size = rng.choice(COUNTS)
        for how, exemplars in drawn_sets(right, wrong, size, rng):
            shown = [(one.input, one.answer) for one in exemplars]
            said = client.both_readings(package_text(task.seed_prompt, shown), [text for text, _ in questions])
            found.setdefault(how, []).append(_accuracies(said, questions, task.labels))
    print(f"{len(questions)} items, {sets_count} sets a kind, standard errors over sets\n")
    print("| examples | as text | best | by label | best |\n|---|---|---|---|---|")
    for how, scores in found.items():
        columns = (
            f"{fmean(one):.3f} ± {pstdev(one) / sqrt(len(one)):.3f} | {max(one):.3f}"
            for one in zip(*scores, strict=True)
        )
        print(f"| {how} | {' | '.join(columns)} |")


def picked(texts: Sequence[Read], labels: Sequence[str], count: int) -> list[float]:
    """Accuracy on the other items of whoever looks best on ``count`` drawn ones, means over draws: see the module."""
    rng, commonest = random.Random(count), max(map(labels.count, set(labels))) / len(labels)
    right = [[float(one == label) for one, label in zip(said, labels, strict=True)] for said in texts]
    found: list[list[float]] = []
    for _ in range(DRAWS_COUNT):
        order = rng.sample(range(len(labels)), len(labels))
        seen, others, reference = order[:count], order[count:], rng.randrange(len(texts))
        truth = [fmean(one[item] for item in others) for one in right]
        costs = [
            cost_of(leaning([(said[item], labels[item]) for item in seen]), commonest, max(truth)) for said in texts
        ]
        gains = [shrunken_gain([one[item] - right[reference][item] for item in seen]) for one in right]
        leant = [gain.around(costs[reference] - cost).mean for gain, cost in zip(gains, costs, strict=True)]
        row = []
        for size in (1, max(1, len(texts) // 3)):
            for by in ([gain.raw for gain in gains], leant):
                row.append(fmean(truth[one] for one in sorted(range(len(texts)), key=lambda one: -by[one])[:size]))
        found.append(row)
    return [fmean(column) for column in zip(*found, strict=True)]


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
