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
from meta_learning.experiments.label_curve import Point, label_curve

BASELINES = ("static", "hand_written", "fine_tuning", "lora")
Result = Mapping[str, Any]
Place = tuple[str, str | None, int | None]


def report_of(results: Sequence[Result], errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """The report as plain JSON, one entry a data set and model (and number of labels); the same whatever the order of the cells.

    A score is of unique items: where seeds drew the same item for testing, their scores are averaged first. Intervals are those
    of whole groups where the data has groups.
    """
    places = {place: [one for one in results if _belongs(one, place)] for place in places_of(results)}
    curves = _label_curves(places)
    return {
        "groups": {_name(place): _of_group(group) for place, group in places.items()},
        "cells_count": len(results),
        "errors": list(errors),
        **({"by_labels": curves} if curves else {}),
    }


def places_of(results: Sequence[Result]) -> list[Place]:
    """What arms are compared within: each model of a data set, with each number of labels.

    A result without a model (a tuned arm) or without a number of labels (a fixed prompt) belongs to all places of its data set.
    """
    found = dict[Place, None]()
    for name in sorted({place_of(result)[0] for result in results}):
        ours = [place_of(result) for result in results if place_of(result)[0] == name]
        models: list[str | None] = [*sorted({model for _, model, _ in ours if model is not None})] or [None]
        counts: list[int | None] = [*sorted({labels for _, _, labels in ours if labels is not None})] or [None]
        found |= dict.fromkeys((name, model, labels) for model in models for labels in counts)
    return list(found)


def place_of(result: Result) -> Place:
    """The data set of a result, its model, and how many labels it learnt from."""
    cell = result["cell"]
    model = None if cell["model"] is None else title_of(cell["model"])
    return str(cell["dataset"]["name"]), model, cell.get("labels")


def _label_curves(places: Mapping[Place, Sequence[Result]]) -> dict[str, Any]:
    """By data set and model, where the number of labels is told."""
    points, without = defaultdict[str, list[Point]](list), set[str]()
    for (name, model, labels), results in places.items():
        if labels is not None:
            points[_name((name, model, None))].append((labels, _scores_by_arm(results), groups_of(results)))
            without |= {arm_name(one["cell"]) for one in results if one["cell"].get("labels") is None}
    return {name: label_curve(found, without) for name, found in points.items()}


def _belongs(result: Result, place: Place) -> bool:
    return all(mine is None or mine == theirs for mine, theirs in zip(place_of(result), place, strict=True))


def _name(place: Place) -> str:
    name, model, labels = place
    named = name if model is None else f"{name} · {model}"
    return named if labels is None else f"{named} · {labels:,} labels"


def arm_name(cell: Mapping[str, Any]) -> str:
    """The strategy, with its budget where it has one."""
    budget = cell["budget"]
    return str(cell["strategy"]) if budget is None else f"{cell['strategy']} @ {budget:,}"


def group_of(result: Result) -> str:
    """The data set, the model where there is one, and the number of labels where it is told."""
    return _name(place_of(result))


def _of_group(results: Sequence[Result]) -> dict[str, Any]:
    by_arm = _by_arm(results)
    scores = _scores_by_arm(results)
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


def _by_arm(results: Sequence[Result]) -> dict[str, list[Result]]:
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[arm_name(result["cell"])].append(result)
    return {arm: by_arm[arm] for arm in sorted(by_arm, key=_order)}


def _scores_by_arm(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    return {arm: scores_of(found) for arm, found in _by_arm(results).items()}


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
