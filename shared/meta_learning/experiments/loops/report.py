"""What a feedback-loop study says: for each world its scores over the cycles, and what fewer labels cost, over the seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from meta_learning.experiments.loops.config import share_of
from meta_learning.experiments.loops.measures import SCORES

Result = Mapping[str, Any]
KINDS = ("input", "output", "behaviour", "concept", "performance")
TOLD = (
    "accuracy_end",
    "alignment_end",
    "alignment_true",
    "alignment_quarter",
    "alignment_within",
    "alarms_early",
    "alarms_late",
    "delay",
    "behaviour_median",
    "coherence_end",
    "diversity_end",
    "promoted",
)


def loops_report(results: Sequence[Result], errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """The report as plain JSON, one entry a world; the same whatever order the cells were run in."""
    by_world: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_world[result["world"]].append(result)
    return {
        "kind": "feedback_loop",
        "satisfaction": {name: satisfaction_curve(_fullest(by_world[name])) for name in _ordered(by_world)},
        "groups": {name: _of_world(by_world[name]) for name in sorted(by_world)},
        **({"services": services} if (services := agreed(results)) else {}),
        "cells_count": len(results),
        "errors": list(errors),
    }


def agreed(results: Sequence[Result]) -> dict[str, Any] | None:
    """Of the cells that went through the services: how many came out as the same events did in process; None without any."""
    found = [(result["cell"], result["agreement"]) for result in results if "agreement" in result]
    if not found:
        return None
    return {
        "cells": len(found),
        "agreeing": sum(one["agrees"] for _, one in found),
        "questions": sum(one["questions"] for _, one in found),
        "cycles": sum(one["cycles"] for _, one in found),
        "versions_differing": sum(one["versions_differing"] for _, one in found),
        "expected_difference": max(one["expected_difference"] for _, one in found),
        "differing": sorted({name for _, one in found for name in one["differing"]}),
    }


def _ordered(by_world: Mapping[str, Sequence[Result]]) -> list[str]:
    """Worlds of one way to answer side by side."""
    return sorted(by_world, key=lambda name: (by_world[name][0]["cell"]["answers"] == "chosen", name))


def _of_world(results: Sequence[Result]) -> dict[str, Any]:
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in sorted(
        results, key=lambda one: (-one["cell"]["asked"], one["cell"]["asked_by"], one["cell"]["seed"])
    ):
        by_arm[share_of(result["cell"]["asked"], result["cell"]["asked_by"])].append(result)
    arms = [{"arm": name, **_of_arm(found)} for name, found in by_arm.items()]
    return {
        "arms": arms,
        "minimal_feedback": minimal_feedback(arms),
        **_pictured(_fullest(results)[0]),
    }


def _of_arm(results: Sequence[Result]) -> dict[str, Any]:
    """Means over the seeds, each with Student's 95 % half-width."""
    numbers = [result["numbers"] for result in results]
    return {
        "seeds": [result["cell"]["seed"] for result in results],
        "events": results[0]["events"],
        "labels_percent": round(100 * float(np.mean([one["labels"] / one["events"] for one in results])), 1),
        **{name: estimate([one.get(name) for one in numbers]) for name in TOLD},
        "satisfaction_correlation": {
            name: correlation([one["correlations"].get(name) for one in numbers]) for name in SCORES
        },
        "accuracy_tenths": np.mean([one["accuracy"] for one in numbers], axis=0).round(4).tolist(),
        "ceiling_tenths": None
        if results[0]["ceiling"] is None
        else np.mean([one["ceiling"] for one in results], axis=0).round(4).tolist(),
        "alarmed": [one.get("alarmed", []) for one in numbers],
        "patterns": [one.get("patterns", {}) for one in numbers],
    }


def minimal_feedback(arms: Sequence[Mapping[str, Any]], score: str = "alignment_quarter") -> list[dict[str, Any]]:
    """Points of the curve: the true ``score`` against the labels that it cost, with its interval over the seeds."""
    points = []
    for arm in arms:
        found = arm[score]
        if found["mean"] is not None:
            half = found["half_width"]
            ends = {} if half is None else {"low": found["mean"] - half, "high": found["mean"] + half}
            points.append({"name": arm["arm"], "cost": arm["labels_percent"], "score": found["mean"], **ends})
    return sorted(points, key=lambda point: (point["cost"], point["name"]))


def satisfaction_curve(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Satisfaction by cycle, its mean over the seeds, with Student's 95 % interval."""
    columns = [[line["satisfaction"] for line in result["cycles"]] for result in results]
    points = []
    for place, row in enumerate(zip(*columns, strict=False), start=1):
        found = estimate(list(row))
        half = found["half_width"] or 0.0
        ends = {"low": max(found["mean"] - half, 0.0), "high": min(found["mean"] + half, 1.0)}
        points.append({"iteration": place, "score": found["mean"], **(ends if len(row) > 1 else {})})
    return points


def _fullest(results: Sequence[Result]) -> list[Result]:
    """The runs with the most labels, by seed: those that pictures show."""
    most = max(result["cell"]["asked"] for result in results)
    full = [result for result in results if result["cell"]["asked"] == most]
    first = full[0]["cell"]["asked_by"]
    return sorted((one for one in full if one["cell"]["asked_by"] == first), key=lambda one: one["cell"]["seed"])


def _pictured(result: Result) -> dict[str, Any]:
    """The curves of one run, in the form that the visualizer draws."""
    cycles = result["cycles"]
    return {
        "pictured_seed": result["cell"]["seed"],
        "drift_scores": [{"iteration": line["cycle"], "score": line["drift"]} for line in cycles],
        **{f"{name}_scores": [scored(line, name) for line in cycles] for name in SCORES[1:]},
        **drift_by_kind(cycles),
    }


def drift_by_kind(cycles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Drift scores by kind, and the cycles in which an alarm was raised."""
    return {
        "drift_kinds": {
            kind: [{"iteration": line["cycle"], "score": line["kinds"][kind]} for line in cycles] for kind in KINDS
        },
        "alarms": [line["cycle"] for line in cycles for _ in line["alarms"]],
    }


def scored(line: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A score of one cycle as a point of a history."""
    current, low, high = line[name]
    return {"iteration": line["cycle"], "score": current, "low": low, "high": high}


def estimate(numbers: Sequence[float | None]) -> dict[str, Any]:
    """Mean over seeds with Student's 95 % half-width.

    >>> estimate([0.5, 0.7, None])
    {'mean': 0.6, 'half_width': 1.2706, 'seeds': [0.5, 0.7, None]}
    """
    known = np.array([number for number in numbers if number is not None], dtype=np.float64)
    rounded = [None if number is None else round(number, 4) for number in numbers]
    if not len(known):
        return {"mean": None, "half_width": None, "seeds": rounded}
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / len(known) ** 0.5) if len(known) > 1 else None
    width = None if half is None else round(half, 4)
    return {"mean": round(float(known.mean()), 4), "half_width": width, "seeds": rounded}


def correlation(found: Sequence[float | None]) -> dict[str, Any]:
    """Mean of correlations over seeds with its 95 % interval, on Fisher's scale (1915), where they are nearly normal.

    >>> {name: value for name, value in correlation([0.5, 0.6, 0.7]).items() if name != "seeds"}
    {'mean': 0.606, 'low': 0.298, 'high': 0.8}
    """
    known = np.clip([one for one in found if one is not None], -0.999, 0.999)
    rounded = [None if one is None else round(one, 3) for one in found]
    if not len(known):
        return {"mean": None, "low": None, "high": None, "seeds": rounded}
    scale = np.arctanh(known)
    if len(known) < 2:
        return {"mean": round(float(known[0]), 3), "low": None, "high": None, "seeds": rounded}
    half = stats.t.ppf(0.975, len(known) - 1) * scale.std(ddof=1) / len(known) ** 0.5
    mean, low, high = np.tanh([scale.mean(), scale.mean() - half, scale.mean() + half])
    return {"mean": round(float(mean), 3), "low": round(float(low), 3), "high": round(float(high), 3), "seeds": rounded}
