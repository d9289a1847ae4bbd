"""What the adaptive order of items saves: calls to the same squared error of a paired gain as in random order, and its bias.

    python -m benchmarks.acla.order

Worlds in which the truth is known (`worlds.py`), 144 items, one newcomer against prompts that are known already.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import fmean, stdev

from benchmarks.acla.worlds import SEED_PROMPT, World
from meta_learning.acla import Prompt
from meta_learning.acla.racing.curriculum import course, disagreement
from meta_learning.acla.splits import Item, read_items


@dataclass(frozen=True)
class Matrix:
    """Scores of known prompts, and of one newcomer, on the same items."""

    items: list[Item]
    known: list[dict[str, float]]
    newcomer: dict[str, float]


def matrix(number: int, known_count: int = 4) -> Matrix:
    truth, seed = World(number), Prompt.parse(SEED_PROMPT)
    items = read_items(truth.samples(144))

    def scores(prompt: Prompt) -> dict[str, float]:
        return {one.id: float(truth.answer(prompt, one.input)[0] == one.expected) for one in items}

    others = [seed.edit(rules=(f"Rule {index}.",)) for index in range(known_count)]
    return Matrix(items, [scores(one) for one in [seed, *others[1:]]], scores(others[0]))


def estimate(seen: Matrix, adaptive: bool, count: int, rng: random.Random) -> float:
    """The newcomer's gain over the first known prompt, from ``count`` items."""
    differences = {name: score - seen.known[0][name] for name, score in seen.newcomer.items()}
    if not adaptive:
        return fmean(differences[one.id] for one in rng.sample(seen.items, count))
    along = course(seen.items, [], lambda item: disagreement([known[item.id] for known in seen.known], 0.25), rng)
    return along.gain(differences, count).raw


def savings(matrices: int, draws: int, known_count: int) -> list[str]:
    """Squared error and bias by items asked, and how many items in random order give the same error."""
    counts = (8, 16, 32, 48, 64, 96)
    errors: dict[tuple[bool, int], list[float]] = {(kind, n): [] for kind in (True, False) for n in counts}
    for number in range(matrices):
        seen = matrix(number, known_count)
        truth = fmean(seen.newcomer[one.id] - seen.known[0][one.id] for one in seen.items)
        rng = random.Random(number)
        for (kind, n), found in errors.items():
            found += [estimate(seen, kind, n, rng) - truth for _ in range(draws)]
    lines = []
    for n in counts:
        ours, plain = errors[True, n], errors[False, n]
        ratio = fmean(e * e for e in ours) / fmean(e * e for e in plain)
        # Without replacement: the variance of a mean of n of N goes with 1/n - 1/N.
        same = 1 / (ratio * (1 / n - 1 / 144) + 1 / 144)
        lines.append(
            f"| {known_count} | {n} | {ratio:.2f} | {same:.0f} | {100 * (1 - n / same):.0f} % | {100 * fmean(ours):+.2f} ± "
            f"{100 * stdev(ours) / len(ours) ** 0.5:.2f} |"
        )
    return lines


def main() -> None:
    print(
        "| known prompts | items asked | error ratio | same error in random order | saved | bias, points |\n"
        + "|---" * 6
        + "|"
    )
    for known_count in (1, 4, 12):
        print("\n".join(savings(40, 50, known_count)), flush=True)


if __name__ == "__main__":
    main()
