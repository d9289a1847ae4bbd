"""Does meta-prompting beat a static prompt, a hand-written one and fine-tuning? On the same fresh tweets, with intervals.

    python examples/meta_learning/example_comparison.py

It uses the small language model that ships as a package: no key, no server, under a minute. The answer may well be "no
evidence"; then it says how likely a real gain would have been seen. The report is one HTML file that opens without a network.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from meta_learning.datasets import Sentiment140Loader
from meta_learning.errors import ConfigurationError
from meta_learning.experiments import ExperimentRunner
from meta_learning.llm import connect
from meta_learning.utils import MetaLearningVisualizer

STATIC = "Classify the sentiment of the tweet. Answer with one word: negative or positive."
HAND_WRITTEN = (
    "You read tweets and say how their author felt while writing. Complaints, illness, loss and longing are negative; "
    "thanks, jokes, plans and joy are positive. Answer with one word: negative or positive."
)


async def compare(provider: str, calls_max: int) -> dict[str, Any]:
    llm = connect(provider)
    small = {"proposal_tokens": 40, "reasoning_tokens": 40} if provider == "local" else {}
    runner = ExperimentRunner(
        llm_client=llm,
        gate_samples=40,
        test_samples=80,
        flip_samples=10,
        on_progress=told,
        config={"calls_max": calls_max, "seconds_max": 25, **small},
    )
    try:
        return await runner.run_comparison_study(
            dataset_name="sentiment140",
            dataset_loader=Sentiment140Loader(),
            initial_prompt=STATIC,
            num_iterations=4,
            sample_size=40,
            hand_written_prompt=HAND_WRITTEN,
            fine_tuning=True,
        )
    finally:
        await llm.close()


def told(iteration: int, best: float, calls: int, message: str) -> None:
    print(f"  {iteration:>2}  best {best:.3f} on the search items  {calls:>4} calls   {message}")


def report(comparison: dict[str, Any]) -> None:
    print(f"\n{comparison['verdict']}")
    print(f"Meta-prompting wins: {comparison['meta_prompting_wins']}, margin {comparison['win_margin']:+.3f}\n")
    print(f"On {comparison['items']['test']} tweets that nothing was chosen on:")
    for arm, found in sorted(comparison["arms"].items(), key=lambda pair: -pair[1]["accuracy"]["value"]):
        accuracy, f1 = found["accuracy"], found["macro_f1"]
        print(
            f"  {arm:<15} accuracy {accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]"
            f"   macro F1 {f1['value']:.3f}   calibration error {found['calibration']['error']:.3f}"
        )
    print("\nMeta-prompting against each, item by item:")
    for one in comparison["comparisons"]:
        print(
            f"  {one['against']:<15} {100 * one['gain']:+6.1f} points [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"
            f"   p = {one['p_adjusted']:.3f}   a gain of 5 points would be seen in {100 * one['power_for_5_points']:.0f} %"
        )
    flips = comparison["flip_rate"]
    if flips and flips["count"]:
        print(f"\nAsked again at temperature 0, {100 * flips['value']:.0f} % of {flips['count']} answers changed.")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--provider", default="local", choices=("local", "anthropic", "openai"))
    arguments.add_argument("--calls", type=int, default=300, help="for the search; never exceeded")
    chosen = arguments.parse_args()
    comparison = asyncio.run(compare(chosen.provider, chosen.calls))
    report(comparison)
    try:
        path = MetaLearningVisualizer(comparison["folder"]).create_dashboard(experiment_results=comparison)
        print(f"\nThe whole report: {path}")
    except ConfigurationError as missing:
        print(f"\nNo report was drawn: {missing}")


if __name__ == "__main__":
    main()
