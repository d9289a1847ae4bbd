"""Is there anything to gain on a task? Its seed prompt, other templates and sets of examples, read both ways.

To be looked at before any budget is spent.

    python -m benchmarks.acla_peers.headroom --task commonsense --url http://127.0.0.1:8765/v1
        [--seed 0] [--items 150]

Data seed 0, which no report uses; the templates are the first prepared rewrites of the task in their written order.
"""

from __future__ import annotations

import argparse
import random
from contextlib import closing
from statistics import fmean

from benchmarks.acla_peers.items import TASKS, draw
from benchmarks.peers.acla_client import REWRITES, Client, package_text, read

TEMPLATES_COUNT, SHOT_SETS = 8, (2, 4, 4, 8)


def main() -> None:
    """Print a table."""
    said = argparse.ArgumentParser(description="The headroom of a task.")
    said.add_argument("--task", required=True)
    said.add_argument("--url", required=True)
    said.add_argument("--seed", type=int, default=0)
    said.add_argument("--items", type=int, default=150)
    asked = said.parse_args()
    task, rng = TASKS[asked.task], random.Random(f"headroom {asked.seed}")
    items = draw(task, asked.seed, 0)
    questions = items.val[: asked.items]
    templates = (REWRITES / f"{task.rewrites}.txt").read_text(encoding="utf-8").splitlines()[:TEMPLATES_COUNT]
    shown = {}
    for number, count in enumerate(SHOT_SETS, start=1):
        shown[f"{count} examples, set {number}"] = package_text(task.seed_prompt, rng.sample(items.train, count))
    packages = {"seed": task.seed_prompt} | {one: one for one in templates} | shown
    print(
        f"{len(questions)} items of data seed {asked.seed}\n\n| prompt | as text | no label | by label |\n|---|---|---|---|"
    )
    with closing(Client(asked.url, f"headroom:{task.name}:{asked.seed}", task.labels)) as client:
        for name, package in packages.items():
            answers = client.both_readings(package, [text for text, _ in questions])
            texts, labels = ([read(one, task.labels, kind) for one in answers] for kind in (False, True))
            right = [fmean(a == b for a, (_, b) in zip(found, questions, strict=True)) for found in (texts, labels)]
            print(f"| {name} | {right[0]:.3f} | {texts.count(None) / len(texts):.2f} | {right[1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
