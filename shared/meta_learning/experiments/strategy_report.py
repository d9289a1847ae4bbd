"""The report of a strategy analysis: what each strategy is worth, how fast it gets there, and what of it holds elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from meta_learning.acla.statistics import holm
from meta_learning.experiments.comparator import Comparison, compare
from meta_learning.experiments.judging import KIND as JUDGING
from meta_learning.experiments.report import Result, arm_name, group_of, groups_of, report_of, scores_of

STATIC = "static"


def strategy_report(results: Sequence[Result], errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """The report as plain JSON: that of the grid, and for each of its groups ``convergence``, ``robustness`` and ``transfer``."""
    arms = [result for result in results if result["cell"].get("kind") != JUDGING]
    judged = [result for result in results if result["cell"].get("kind") == JUDGING]
    report = report_of(arms, errors)
    for name, group in report["groups"].items():
        here = [result for result in arms if group_of(result) == name]
        elsewhere = [result for result in judged if result["cell"]["found_on"] == name]
        group["convergence"] = [convergence(arm["arm"], here) for arm in group["arms"] if _searches(arm["arm"])]
        group["robustness"] = robustness(here, elsewhere)
        group["transfer"] = transfer(elsewhere)
    return report | {"kind": "strategies", "cells_count": len(results)}


def convergence(arm: str, results: Sequence[Result]) -> dict[str, Any]:
    """How fast an arm got to its last prompt, means over the seeds; and its mean score over the calls that it spent.

    ``area``: the search score averaged over the calls, so that what is found early counts for longer.
    """
    runs = [result["made"] for result in results if arm_name(result["cell"]) == arm]
    places = [_last_change(run["performance_history"]) for run in runs if run["performance_history"]]
    count = max(len(places), 1)
    return {
        "arm": arm,
        "iterations_to_best": sum(place["iteration"] for place in places) / count,
        "calls_to_best": sum(place["calls"] for place in places) / count,
        "iterations": sum(run["performance_history"][-1]["iteration"] for run in runs) / max(len(runs), 1),
        "area": sum(_area(run["performance_history"]) for run in runs) / max(len(runs), 1),
        "kept_the_first": sum(place["iteration"] == 0 for place in places),
        "seeds": len(runs),
    }


def robustness(here: Sequence[Result], elsewhere: Sequence[Result]) -> list[dict[str, Any]]:
    """Each arm on perturbed inputs against itself on the same items as they were, corrected over the table."""
    found, groups = [], groups_of([*here, *elsewhere])
    for (arm, name), group in sorted(_by(elsewhere, perturbed=True).items()):
        plain = scores_of([result for result in here if arm_name(result["cell"]) == arm])
        found.append(
            (name, compare(f"{arm}, {name}", scores_of(group), {f"{arm}, as it was": plain}, groups=groups)[0])
        )
    return [{"perturbation": name, **one.as_dict()} for name, one in _corrected(found)]


def transfer(elsewhere: Sequence[Result]) -> list[dict[str, Any]]:
    """What the learned mix found, against the static prompt, where it was not found; corrected over the table."""
    by_place, groups = _by(elsewhere, perturbed=False), groups_of(elsewhere)
    found = [
        (where, compare(arm, scores_of(group), {STATIC: scores_of(by_place[STATIC, where])}, groups=groups)[0])
        for (arm, where), group in sorted(by_place.items())
        if arm != STATIC and (STATIC, where) in by_place
    ]
    return [{"where": where, **one.as_dict()} for where, one in _corrected(found)]


def _by(results: Sequence[Result], perturbed: bool) -> dict[tuple[str, str], list[Result]]:
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        if (result["cell"]["perturbation"] is not None) == perturbed:
            groups[result["cell"]["arm"], result["where"]].append(result)
    return groups


def _corrected(found: Sequence[tuple[str, Comparison]]) -> list[tuple[str, Comparison]]:
    adjusted = holm([one.p_value for _, one in found])
    return [(name, replace(one, p_adjusted=p)) for (name, one), p in zip(found, adjusted, strict=True)]


def _last_change(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The point at which the last prompt took the lead."""
    last = history[-1]["prompt_version"]
    return next(point for point in history if point["prompt_version"] == last)


def _area(history: Sequence[Mapping[str, Any]]) -> float:
    """The score over calls, as a step function, divided by the calls."""
    total = 0.0
    for point, following in pairwise(history):
        total += point["score"] * (following["calls"] - point["calls"])
    spent = history[-1]["calls"] - history[0]["calls"] if history else 0
    return float(total / spent) if spent else float(history[-1]["score"] if history else 0.0)


def _searches(arm: str) -> bool:
    return arm.partition(":")[0].partition(" @")[0] in ("meta", "only", "without")
