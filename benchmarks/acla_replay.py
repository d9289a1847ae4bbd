"""Can the prompt optimizer's answer be trusted, and what does it cost beside the model? Whole runs over replayed outcome matrices.

    python -m benchmarks.acla_replay [runs] [calls] [jobs]

Per world: gain on 2,000 test items, runs that end below the seed, optimism (reported minus test; 0 where the seed stays), calls,
and CPU milliseconds per call outside the model. Arms are the optimizer and itself without one idea. Then what the adaptive order
saves on matrices alone: calls to the same squared error of a paired gain as in random order, and its bias.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev
from typing import Any

from benchmarks.acla_worlds import SEED_PROMPT, World
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.acla.racing.curriculum import course, disagreement
from meta_learning.acla.splits import Item, read_items

WORLDS: dict[str, dict[str, Any]] = {
    "some changes help": {},
    "few changes help": {"drift": -0.2},
    "nothing helps": {"drift": -0.05, "effect": 0.0},
    "logprobs, leaning": {"logprobs": True, "leaning": 1.0},
    "logprobs, level": {"logprobs": True, "leaning": 0.0},
}
ARMS: dict[str, dict[str, Any]] = {
    "ours": {},
    "without adaptive order": {"adaptive_order": False},
    "without calibration": {"calibrate": False},
    "without fresh gate": {"alpha": 0.5, "gate_samples": 20},
}


@dataclass(frozen=True)
class Run:
    """One run, judged by the truth."""

    outcome: str
    gain: float
    optimism: float
    calls: int
    overhead_ms: float


def run(number: int, world: dict[str, Any], arm: dict[str, Any], calls_max: int) -> Run:
    truth = World(number, **world)
    llm, model_s = truth.model(), 0.0
    reply = llm.answer

    def timed(request: Any) -> Any:
        nonlocal model_s
        started = time.process_time()
        answer = reply(request)
        model_s += time.process_time() - started
        return answer

    llm.answer = timed
    settings: dict[str, Any] = {"gate_samples": calls_max // 6, "max_iterations": 60, "seed": number} | arm
    config = CurriculumConfig(SEED_PROMPT, "world", calls_max=calls_max, **settings)
    started = time.process_time()
    agent = AdaptiveCurriculumAgent(config, llm)
    results = asyncio.run(agent.run_curriculum(truth.samples, num_samples=200))
    overhead_s = time.process_time() - started - model_s
    before = truth.accuracy(Prompt.parse(SEED_PROMPT), {})
    package = results["best_package"]
    after = truth.accuracy(Prompt.parse(package["prompt"]), package["label_bias"])
    improved = results["outcome"] == "improved"
    optimism = results["best_performance"] - after if improved else 0.0
    return Run(results["outcome"], after - before, optimism, results["calls"], 1000 * overhead_s / results["calls"])


def row(name: str, arm: str, runs: list[Run]) -> str:
    gains = [one.gain for one in runs]
    below = sum(one.gain < 0 for one in runs)
    improved = sum(one.outcome == "improved" for one in runs)
    error = stdev(gains) / len(gains) ** 0.5
    return (
        f"| {name} | {arm} | {100 * fmean(gains):+.2f} ± {100 * error:.2f} | {improved}/{len(runs)} | {below}/{len(runs)} "
        f"| {100 * fmean(one.optimism for one in runs):+.2f} | {fmean(one.calls for one in runs):.0f} "
        f"| {fmean(one.overhead_ms for one in runs):.2f} |"
    )


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


def main(runs: int, calls_max: int, jobs: int) -> None:
    print(
        "| world | arm | gain, points | improved | below seed | optimism | calls | overhead ms/call |\n"
        + "|---" * 8
        + "|"
    )
    plan = [(name, "ours", runs) for name in WORLDS]
    # An ablation shows its direction with fewer runs.
    plan += [(name, arm, max(2, runs // 4)) for name in WORLDS for arm in ARMS if arm != "ours"]
    with ProcessPoolExecutor(jobs) as pool:
        for name, arm, count in plan:
            if arm == "without calibration" and not WORLDS[name].get("logprobs"):
                continue
            one: Callable[[int], Run] = partial(run, world=WORLDS[name], arm=ARMS[arm], calls_max=calls_max)
            print(row(name, arm, list(pool.map(one, range(count)))), flush=True)
    print(
        "\n| known prompts | items asked | error ratio | same error in random order | saved | bias, points |\n"
        + "|---" * 6
        + "|"
    )
    for known_count in (1, 4, 12):
        print("\n".join(savings(40, 50, known_count)), flush=True)


if __name__ == "__main__":
    main(*(int(one) for one in (sys.argv[1:] + ["100", "1000", "2"][len(sys.argv) - 1 :])))
