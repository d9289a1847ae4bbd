"""What arms make of more and more labels: each arm's score over their number, and all arms against each other at each number.

>>> few = {"static": {"a": 1.0, "b": 0.0}, "lora": {"a": 0.0, "b": 0.0}}
>>> curve = label_curve([(50, few, {}), (100, {**few, "lora": {"a": 1.0, "b": 1.0}}, {})])
>>> [(point["labels"], point["score"]) for point in curve["arms"]["lora"]], len(curve["paired"])
([(50, 0.0), (100, 1.0)], 2)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from meta_learning.acla.statistics import holm
from meta_learning.experiments.clusters import clustered_mean
from meta_learning.experiments.comparator import Groups, Scores, compare

Point = tuple[int, Mapping[str, Scores], Groups]


def label_curve(points: Sequence[Point], without: Collection[str] = ()) -> dict[str, Any]:
    """``points``: the number of labels, each arm's scores by item, and the items' groups.

    ``without``: arms that need no labels; their scores are the same at every number, and each two of them are compared once.
    Holm's correction is over all comparisons of the curve.
    """
    arms = defaultdict[str, list[dict[str, Any]]](list)
    paired = []
    for number, (labels, scores, groups) in enumerate(points):
        for arm, found in scores.items():
            items = sorted(found)
            estimate = clustered_mean([found[item] for item in items], [groups.get(item) for item in items])
            low_high = {"low": estimate.low, "high": estimate.high}
            arms[arm].append({"labels": labels, "score": estimate.value, **low_high, "items": estimate.count})
        pairs = [pair for pair in combinations(scores, 2) if number == 0 or not all(arm in without for arm in pair)]
        for one, other in pairs:
            paired.append((labels, compare(one, scores[one], {other: scores[other]}, groups=groups)[0]))
    adjusted = holm([one.p_value for _, one in paired])
    return {
        "arms": dict(arms),
        "paired": [
            {"labels": labels, **replace(one, p_adjusted=p).as_dict()}
            for (labels, one), p in zip(paired, adjusted, strict=True)
        ],
    }
