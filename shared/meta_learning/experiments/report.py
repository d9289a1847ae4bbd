"""What a study says: each arm's scores, each arm against the others on the same items, and which strategy pays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from meta_learning.acla.statistics import holm
from meta_learning.experiments.clusters import clustered_mean
from meta_learning.experiments.comparator import Groups, compare
from meta_learning.experiments.config import THRESHOLDS, title_of
from meta_learning.experiments.evaluator import groups_count

BASELINES = ("static", "hand_written", "fine_tuning", "lora")
Result = Mapping[str, Any]


def report_of(results: Sequence[Result], errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """The report as plain JSON, one entry a data set and model; the same whatever order the cells were run in.

    A score is of unique items: where seeds drew the same item for testing, their scores are averaged first. Intervals are those
    of whole groups where the data has groups.
    """
    groups = defaultdict(list)
    for result in results:
        if result["cell"]["model"] is not None:
            groups[group_of(result)].append(result)
    tuned = [result for result in results if result["cell"]["model"] is None]
    for name in {group_of(result) for result in tuned} - {name.partition(" · ")[0] for name in groups}:
        groups[name] = []
    for name, group in groups.items():
        group += [result for result in tuned if group_of(result) == name.partition(" · ")[0]]
    return {
        "groups": {name: _of_group(groups[name]) for name in sorted(groups)},
        "cells_count": len(results),
        "errors": list(errors),
    }


def arm_name(cell: Mapping[str, Any]) -> str:
    """The strategy, with its budget where it has one."""
    budget = cell["budget"]
    return str(cell["strategy"]) if budget is None else f"{cell['strategy']} @ {budget:,}"


def group_of(result: Result) -> str:
    """The data set, and the model where there is one."""
    cell = result["cell"]
    return str(cell["dataset"]["name"]) + ("" if cell["model"] is None else f" · {title_of(cell['model'])}")


def _of_group(results: Sequence[Result]) -> dict[str, Any]:
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[arm_name(result["cell"])].append(result)
    scores = {arm: scores_of(by_arm[arm]) for arm in sorted(by_arm, key=_order)}
    groups = groups_of(results)
    arms = [_arm(arm, by_arm[arm], scores[arm], groups) for arm in scores]
    return {
        "arms": arms,
        "comparisons": _comparisons(scores, groups),
        "strategies": _strategies(scores, groups),
        "pareto": [
            {
                "name": arm["arm"],
                "cost": arm["calls_mean"],
                "score": arm["score"],
                "low": arm["low"],
                "high": arm["high"],
            }
            for arm in arms
        ],
        "cost_unit": "model calls for searching, mean of the seeds",
        "anytime": {arm: by_arm[arm][0]["made"]["performance_history"] for arm in scores if _has_history(by_arm[arm])},
        "lineage": [birth for result in results for birth in result["made"].get("lineage", ())],
    }


def _comparisons(scores: Mapping[str, Mapping[str, float]], groups: Groups) -> list[dict[str, Any]]:
    """Every arm that searches against every baseline, corrected together.

    Fitted thresholds are a baseline too, of searches of the same budget: what other prompts bring beside them.
    """
    searching = [arm for arm in scores if arm not in BASELINES]
    pairs = [(arm, against) for arm in searching for against in scores if against in BASELINES]
    fitted = {arm: THRESHOLDS + arm.removeprefix(arm.partition(" @ ")[0]) for arm in searching}
    pairs += [(arm, fitted[arm]) for arm in searching if fitted[arm] in scores and fitted[arm] != arm]
    return _corrected(pairs, scores, groups)


def _strategies(scores: Mapping[str, Mapping[str, float]], groups: Groups) -> list[dict[str, Any]]:
    """Each strategy left out, or alone, against the learned mix of the same budget."""
    pairs = []
    for arm in scores:
        kind, _, rest = arm.partition(":")
        mix = "meta" + (f" @ {rest.partition(' @ ')[2]}" if " @ " in rest else "")
        if kind in ("only", "without") and mix in scores:
            pairs.append((arm, mix))
    return _corrected(pairs, scores, groups)


def _corrected(
    pairs: Sequence[tuple[str, str]], scores: Mapping[str, Mapping[str, float]], groups: Groups
) -> list[dict[str, Any]]:
    """Holm over all pairs of one table, not over those of one arm."""
    found = [compare(arm, scores[arm], {against: scores[against]}, groups=groups)[0] for arm, against in pairs]
    adjusted = holm([one.p_value for one in found])
    return [replace(one, p_adjusted=p).as_dict() for one, p in zip(found, adjusted, strict=True)]


def scores_of(results: Sequence[Result]) -> dict[str, float]:
    """By item, the mean over the seeds that drew it; what was refused is left out."""
    by_item: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for one in result["predictions"]:
            if one["refused"] is None:
                by_item[one["item"]].append(float(one["score"]))
    return {item: sum(found) / len(found) for item, found in by_item.items()}


def groups_of(results: Sequence[Result]) -> dict[str, str | None]:
    """The group of each item; None for what has none, and for results of before there were groups."""
    return {one["item"]: one.get("group") for result in results for one in result["predictions"]}


def _arm(arm: str, results: Sequence[Result], scores: Mapping[str, float], groups: Groups) -> dict[str, Any]:
    items = sorted(scores)
    named = [groups[item] for item in items]
    estimate = clustered_mean([scores[item] for item in items], named)
    f1 = [result["evaluation"]["macro_f1"]["value"] for result in results]
    outcomes = [result["made"].get("outcome") for result in results]
    counted = [f"{outcomes.count(one)} {one}" for one in sorted({str(one) for one in outcomes if one})]
    return {
        "arm": arm,
        "seeds": len(results),
        "items": estimate.count,
        "groups": groups_count(named),
        "score": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "macro_f1": sum(f1) / len(f1) if all(one is not None for one in f1) else None,
        "calls_mean": sum(result["made"]["calls"] for result in results) / len(results),
        "all_calls_mean": sum(result["made"]["calls"] + result.get("answering_calls", 0) for result in results)
        / len(results),
        "iterations_to_best": _iterations_to_best(results),
        "outcomes": ", ".join(counted),
    }


def _iterations_to_best(results: Sequence[Result]) -> float | None:
    """Mean number of iterations after which the best prompt no longer changed."""
    firsts = []
    for result in results:
        history = result["made"].get("performance_history") or []
        if history:
            last = history[-1]["prompt_version"]
            firsts.append(next(point["iteration"] for point in history if point["prompt_version"] == last))
    return sum(firsts) / len(firsts) if firsts else None


def _has_history(results: Sequence[Result]) -> bool:
    return bool(results[0]["made"].get("performance_history"))


def _order(arm: str) -> tuple[int, str]:
    return (BASELINES.index(arm) if arm in BASELINES else len(BASELINES) + (not arm.startswith("meta")), arm)
