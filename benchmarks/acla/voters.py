"""Are prompts that vote worth their calls? Whole runs that may let several vote, in worlds after a small model's answers to tweets.

    python -m benchmarks.acla.voters [--runs 24] [--calls 1000 3000] [--first 1000]

Read as text and by label (with thresholds). Prompts lean to a label, far and each to its own, and what they know of an item has
little in common, as measured of sets of examples (`benchmarks.acla_peers.example_sets`). Per size: gain on 1,500 test items, runs
that were improved, voters on average, optimism (reported minus test, of runs that were improved).
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from benchmarks.acla.worlds import SEED_PROMPT, World, told
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.client.voting import Voter, vote

SEARCH_COUNT, TEST_COUNT = 200, 1500
TWEETS: Mapping[str, Any] = {
    "base": 0.51, "whim": 0.94, "examples_effect": 0.16, "examples_drift": 0.0, "drift": -0.05, "effect": 0.1, "leaning": 1.0,
    "leaning_spread": 2.0,
}  # fmt: skip


def accuracy(world: World, packages: Sequence[Mapping[str, Any]]) -> float:
    """Of packages that vote as the client counts them, on items that no run saw."""
    prompts = [told(Prompt.parse(one["prompt"]).messages("")[:-1]) for one in packages]
    qualities = [world.quality(one) for one in prompts]
    voters = [
        Voter(one["prompt"], label_bias=one["label_bias"], label_sharpness=one["label_sharpness"]) for one in packages
    ]
    right = []
    for item in world.samples(TEST_COUNT, "test"):
        both = [world.answer(one, item["input"], quality) for one, quality in zip(prompts, qualities, strict=True)]
        said = [chances if voter.label_bias else text for voter, (text, chances) in zip(voters, both, strict=True)]
        right.append(vote(voters, said) == item["expected"])
    return fmean(right)


def run(number: int, by_label: bool, size: int, calls_max: int) -> dict[str, Any]:
    """One run, with its gain, its optimism, whether it was improved and by how many voters."""
    world = World(number, logprobs=by_label, **TWEETS)
    config = CurriculumConfig(
        SEED_PROMPT, "world", calls_max=calls_max, gate_samples=calls_max // 6, max_iterations=60, seed=number, ensemble_size=size
    )  # fmt: skip
    results = asyncio.run(
        AdaptiveCurriculumAgent(config, world.model()).run_curriculum(world.samples, num_samples=SEARCH_COUNT)
    )
    packages = results["ensemble"] or [results["best_package"]]
    after = accuracy(world, packages)
    before = accuracy(world, [{"prompt": SEED_PROMPT, "label_bias": {}, "label_sharpness": 1.0}])
    improved = results["outcome"] == "improved"
    reported = results["best_performance"] or math.nan
    return {"gain": after - before, "improved": improved, "voters": len(packages), "optimism": reported - after}


def main() -> None:
    """Print a table."""
    said = argparse.ArgumentParser(description="Prompts that vote, against single ones.")
    said.add_argument("--runs", type=int, default=24)
    said.add_argument("--first", type=int, default=1000)
    said.add_argument("--calls", type=int, nargs="+", default=[1000, 3000])
    asked = said.parse_args()
    numbers = range(asked.first, asked.first + asked.runs)
    print(
        "| read | calls | voters at most | gain, points | improved | voters | optimism |\n|---|---|---|---|---|---|---|"
    )
    for by_label in (True, False):
        for calls in asked.calls:
            for size in (1, 3):
                runs = [run(number, by_label, size, calls) for number in numbers]
                gains, improved = [100 * one["gain"] for one in runs], [one for one in runs if one["improved"]]
                optimism = f"{100 * fmean(one['optimism'] for one in improved):+.1f}" if improved else "–"
                voters, error = fmean(one["voters"] for one in runs), 1.96 * stdev(gains) / math.sqrt(len(gains))
                kind, share = "by label" if by_label else "as text", f"{len(improved)}/{len(runs)}"
                gain = f"{fmean(gains):+.1f} ± {error:.1f}"
                print(f"| {kind} | {calls} | {size} | {gain} | {share} | {voters:.1f} | {optimism} |", flush=True)


if __name__ == "__main__":
    main()
