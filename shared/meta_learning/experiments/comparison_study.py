"""One comparison on one data set: the evolved prompt against the static one, a hand-written one and a fine-tuned model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meta_learning.acla.statistics import said_p
from meta_learning.datasets.groups import group_of
from meta_learning.errors import CallerError
from meta_learning.experiments.asking import Package, PromptAsker
from meta_learning.experiments.comparator import Comparison, compare
from meta_learning.experiments.drawing_items import Items
from meta_learning.experiments.evaluator import evaluate
from meta_learning.experiments.fine_tuning import fine_tuned
from meta_learning.experiments.predictions import Prediction, item_key, labels_of

META, STATIC, HAND_WRITTEN, FINE_TUNING = "meta_prompting", "static", "hand_written", "fine_tuning"


class Judge:
    """Scores packages on the test items: by the user's ``evaluation_fn``, else by asking the model."""

    def __init__(self, asker: PromptAsker | None, evaluation_fn: Any, test: Sequence[Mapping[str, Any]]) -> None:
        self._asker, self._evaluation_fn, self._test = asker, evaluation_fn, test

    async def predictions(self, package: Package) -> list[Prediction] | None:
        """One prediction a test item, or None where ``evaluation_fn`` gives only a mean, which cannot be paired.

        Raises:
            CallerError: ``evaluation_fn`` returned another number of scores than there are items.
        """
        if self._evaluation_fn is None:
            assert self._asker is not None
            return await self._asker.predict(package, self._test)
        said = self._evaluation_fn(package.text, [dict(sample) for sample in self._test])
        scores = await said if inspect.isawaitable(said) else said
        scores = scores.tolist() if hasattr(scores, "tolist") else scores
        if not isinstance(scores, list | tuple):
            return None
        if len(scores) != len(self._test):
            raise CallerError(f"evaluation_fn returned {len(scores)} scores for {len(self._test)} samples")
        pairs = zip(self._test, scores, strict=True)
        return [
            Prediction(item_key(one), str(one["expected"]), "", float(score), group=group_of(one))
            for one, score in pairs
        ]

    async def flip_rate(self, package: Package, count: int, first: Sequence[Prediction]) -> dict[str, Any] | None:
        """How often the same question gets another answer; None where the model is not ours to ask."""
        if self._asker is None or self._evaluation_fn is not None:
            return None
        return (await self._asker.flip_rate(package, self._test[:count], first)).as_dict()


@dataclass(frozen=True, slots=True)
class Tested:
    """What every arm said on the test items; no arms where nothing could be paired."""

    predictions: Mapping[str, Sequence[Prediction]]
    comparisons: Sequence[Comparison]

    @property
    def primary(self) -> Comparison | None:
        """Meta-prompting against the static prompt."""
        return next((one for one in self.comparisons if one.against == STATIC), None)


async def tested(
    judge: Judge, packages: Mapping[str, Package], items: Items, fine_tuning: bool, alpha: float, seed: int
) -> Tested:
    """Every package, and where asked for the fine-tuned model, on the test items; equal packages are asked once."""
    known: dict[tuple[str, tuple[tuple[str, float], ...]], list[Prediction] | None] = {}
    found: dict[str, Sequence[Prediction]] = {}
    for arm, package in packages.items() if items.test else ():
        key = package.text, tuple(sorted(package.label_bias.items()))
        if key not in known:
            known[key] = await judge.predictions(package)
        answers = known[key]
        if answers is None:
            return Tested({}, [])
        found[arm] = answers
    labels = labels_of(items.pool)
    if fine_tuning and found and labels:
        found[FINE_TUNING] = fine_tuned(items.pool, items.test, labels, seed)
    scores = {arm: {one.item: one.score for one in said if one.refused is None} for arm, said in found.items()}
    others = {arm: scores[arm] for arm in scores if arm != META}
    groups = {one.item: one.group for said in found.values() for one in said}
    return Tested(found, compare(META, scores[META], others, alpha, seed, groups) if others else [])


def result_of(run: Mapping[str, Any], outcome: Tested, items: Items, seed: int) -> dict[str, Any]:
    """The result keys of the public contract, as plain JSON.

    ``meta_prompting_wins`` only where fresh test items say so; without any, ``win_margin`` is that of the search, which flatters.
    """
    history = list(run["performance_history"])
    # The static prompt stays as it was measured first, whatever is tried beside it.
    baseline = [{**history[0], "iteration": point["iteration"], "calls": history[0]["calls"]} for point in history]
    primary = outcome.primary
    labels = labels_of(items.pool)
    margin = primary.gain if primary else (history[-1]["score"] - history[0]["score"] if history else 0.0)
    return {
        "meta_prompting_wins": bool(primary and primary.wins),
        "win_margin": margin or 0.0,
        "win_margin_interval": [primary.low, primary.high] if primary else None,
        "outcome": run["outcome"] if primary else "search_only",
        "reason": run["reason"],
        "verdict": _verdict(primary),
        "meta_prompting_history": history,
        "baseline_history": baseline,
        "best_prompt": run["best_prompt"],
        "best_package": run["best_package"],
        "lineage": run["lineage"],
        "comparisons": [one.as_dict() for one in outcome.comparisons],
        "arms": {arm: evaluate(said, labels, seed) for arm, said in outcome.predictions.items()},
        "calls": run["calls"],
        "spent": run["spent"],
        "items": {**run["items"], "test": len(items.test)},
        "seed": seed,
    }


def _verdict(primary: Comparison | None) -> str:
    if primary is None or primary.gain is None or primary.low is None or primary.high is None:
        return (
            "There were no fresh items, or no score for each of them, to compare on: the margin is that of the search, "
            "which flatters, and nothing is claimed."
        )
    said = (
        f"On {primary.pairs_count} fresh items meta-prompting scores {primary.score:.3f} and the static prompt "
        f"{primary.other_score:.3f}: {100 * primary.gain:+.1f} points, 95 % interval {100 * primary.low:+.1f} to "
        f"{100 * primary.high:+.1f}, {said_p(primary.p_adjusted)} after correction."
    )
    if primary.wins:
        return f"{said} Meta-prompting wins."
    if primary.loses:
        return f"{said} The static prompt is better."
    power = f"{100 * primary.power_for_5_points:.0f} %"
    return f"{said} That is no evidence of a difference; a true gain of 5 points would have been seen with a chance of {power}."
