"""The figures of docs/research, drawn from what `benchmarks.clrs.loop` measured (its option ``--figures``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meta_learning.experiments.loops.report import drift_by_kind, scored
from meta_learning.utils import MetaLearningVisualizer

DRIFTING = ("steady", "reversal", "sms")


def draw(folder: Path, summaries: Mapping[str, Any], runs: Mapping[str, Any]) -> list[Path]:
    """Drift with alarms and the three scores of the first seed, and alignment against the share of labels over all seeds."""
    pictures, paths = MetaLearningVisualizer(folder), list[Path]()
    for world in DRIFTING:
        drift = drift_by_kind(runs[world]["cycles"])
        paths += pictures.plot_drift(drift["drift_kinds"], drift["alarms"], save_name=f"drift-{world}")
    for world in ("reversal", "acting"):
        paths += scores(pictures, runs[world]["cycles"], f"scores-{world}")
    return paths + pictures.plot_pareto(labels(summaries), "labels, % of interactions", save_name="labels")


def scores(pictures: MetaLearningVisualizer, cycles: list[dict[str, Any]], name: str) -> list[Path]:
    drift = [{"iteration": line["cycle"], "score": line["drift"]} for line in cycles]
    told = {score: [scored(line, score) for line in cycles] for score in ("alignment", "coherence")}
    return pictures.plot_clrs_metrics(drift, told["alignment"], told["coherence"], save_name=name)


def labels(summaries: Mapping[str, Any]) -> list[dict[str, Any]]:
    """True alignment over the last quarter of all interactions, for each share asked about by margin, and for all."""
    points = []
    for world, found in summaries.items():
        way = world.partition("-")[0]
        if way != "asked" and world != "steady":
            continue
        true = found["alignment_quarter"]
        half = true["half_width"] or 0.0
        name = "everything" if world == "steady" else f"{found['labels_percent']:.0f} % {way}"
        ends = {"low": true["mean"] - half, "high": true["mean"] + half}
        points.append({"name": name, "cost": found["labels_percent"], "score": true["mean"], **ends})
    return points
