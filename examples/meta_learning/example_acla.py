"""Evolve a prompt with the small language model that ships as a package: no key, no server, under a minute.

    python examples/meta_learning/example_acla.py

The model orders tweets by feeling far better than it decides, so an honest run may gain by weighing its labels, by
examples or by other words, or may end in "no evidence". With ANTHROPIC_API_KEY or OPENAI_API_KEY set, give
`--provider anthropic` or `--provider openai`.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig, Prompt
from meta_learning.datasets import Sentiment140Loader
from meta_learning.llm import connect

PROMPT = "Classify the sentiment of the tweet. Answer with one word: negative or positive."


async def evolve(provider: str, calls_max: int) -> dict[str, Any]:
    config = CurriculumConfig(
        initial_prompt=PROMPT,
        dataset_name="sentiment140",
        max_iterations=5,
        gate_samples=50,
        calls_max=calls_max,
        seconds_max=50,
        proposal_tokens=40
        if provider == "local"
        else 256,  # a small model writes slowly, and no better for writing more
        reasoning_tokens=40 if provider == "local" else 256,
    )
    tweets = Sentiment140Loader()
    llm = connect(provider)
    agent = AdaptiveCurriculumAgent(config, llm, on_progress=told)
    try:
        return await agent.run_curriculum(dataset_loader=tweets.get_samples, num_samples=48)
    finally:
        await llm.close()


def told(iteration: int, best: float, calls: int, message: str) -> None:
    print(f"  {iteration:>2}  best {best:.3f} on the search items  {calls:>4} calls   {message}")


def report(results: dict[str, Any]) -> None:
    print(f"\nOutcome: {results['outcome']}. {results['reason']}")
    print(f"Calls: {results['calls']}, tokens: {results['spent']['tokens']}, answers read by: {results['scoring']}\n")
    print("What was tried (gain over the first prompt on the items it got to):")
    for one in (one for one in results["lineage"] if one["items_count"]):
        kept = "  <- led" if one["kept"] else ""
        print(f"  {100 * one['gain']:+6.1f} points on {one['items_count']:>3}  {one['strategy']}: {one['note']}{kept}")
    print(f"\nPrompt to use now (version {results['best_version']}):\n{results['best_prompt']}")
    print("\nWhat the model is sent for an input, turn by turn:")
    for turn in Prompt.parse(results["best_prompt"]).messages("what a day!"):
        print(f"  {turn.role}: {turn.text}")
    if results["best_package"]["label_bias"]:
        print(f"with these weights on its labels: {results['best_package']['label_bias']}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--provider", default="local", choices=("local", "anthropic", "openai"))
    arguments.add_argument("--calls", type=int, default=400, help="never exceeded")
    chosen = arguments.parse_args()
    print(f"Evolving: {PROMPT!r}")
    report(asyncio.run(evolve(chosen.provider, chosen.calls)))


if __name__ == "__main__":
    main()
