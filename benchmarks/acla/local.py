"""What does the prompt optimizer gain a small real model on items that it never saw? SmolLM2 on Sentiment140.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.acla.local [data_seed] [calls] [test_items]

Held-out accuracy of the seed prompt as text-free decisions (the most probable label), of the seed with fitted thresholds, and of
what the run returned, on the same test items. Settings were fixed on data seed 0; report others.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.acla.calibration import Calibration
from meta_learning.acla.parsing import is_right, parse_answer
from meta_learning.acla.statistics import mcnemar_one_sided, paired_bootstrap
from meta_learning.datasets import Sentiment140Loader
from meta_learning.llm import LLM, Request
from meta_learning.llm.local import LocalLLM

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data")) / "sentiment140_train_20k_head_tail.csv"
SEED_PROMPT = "Classify the sentiment of the tweet. Answer with one word: positive or negative."
LABELS = ("negative", "positive")
SEARCH_COUNT = 200


async def rightness(
    llm: LLM, package: dict[str, Any], asked: list[dict[str, Any]], labels: tuple[str, ...] = LABELS
) -> list[float]:
    """Right or wrong, item by item."""
    prompt, weights = Prompt.parse(package["prompt"]), Calibration(package["label_bias"])
    right = []
    for one in asked:
        reply = await llm.complete(Request(prompt.messages(one["input"]), max_tokens=1, labels=labels))
        text = parse_answer(reply.text, labels)
        # Where the model considered no label, the weights decide alone, as in the run.
        known = reply.label_logprobs or (None if text else weights.nothing_said)
        right.append(float(is_right(weights.decision(known) if known else text, one["expected"])))
    return right


async def main(data_seed: int, calls_max: int, test_count: int) -> None:
    llm = LocalLLM()
    gate_count = calls_max // 6
    drawn = list(Sentiment140Loader(DATA).get_samples(SEARCH_COUNT + gate_count + test_count, seed=data_seed))
    train, test = drawn[: SEARCH_COUNT + gate_count], drawn[SEARCH_COUNT + gate_count :]
    known = {one["input"] for one in train}
    test = [one for one in test if one["input"] not in known]
    config = CurriculumConfig(
        SEED_PROMPT, "sentiment140", llm_provider="local", calls_max=calls_max, gate_samples=gate_count, seed=data_seed,
        max_iterations=60,
    )  # fmt: skip
    started = time.time()
    agent = AdaptiveCurriculumAgent(config, llm, on_progress=lambda *said: print(said, flush=True))
    results = await agent.run_curriculum(lambda n: train[:n], num_samples=SEARCH_COUNT)
    wall_s = time.time() - started
    before = await rightness(llm, {"prompt": SEED_PROMPT, "label_bias": {}}, test)
    after = await rightness(llm, results["best_package"], test)
    differences = [one - other for one, other in zip(after, before, strict=True)]
    low, high = paired_bootstrap(differences, 0.95, seed=0)
    said = {
        "data_seed": data_seed, "outcome": results["outcome"], "reason": results["reason"], "calls": results["calls"],
        "seed_accuracy": fmean(before), "accuracy": fmean(after), "gain": fmean(differences), "low": low, "high": high,
        "p": mcnemar_one_sided(differences.count(1.0), differences.count(-1.0)), "test_items": len(test),
        "optimism": results["best_performance"] - fmean(after), "wall_s": round(wall_s), "prompt": results["best_prompt"],
        "label_bias": results["best_package"]["label_bias"], "plan": results["plan"], "tokens": results["spent"]["tokens"],
    }  # fmt: skip
    print(json.dumps(said, indent=1))
    await llm.close()


if __name__ == "__main__":
    asyncio.run(main(*(int(one) for one in (sys.argv[1:] + ["1", "1000", "400"][len(sys.argv) - 1 :]))))
