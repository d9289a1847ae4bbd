"""What arms make of more and more labels: each arm's score over their number, and all arms against each other at each number.

>>> few = {"static": {"a": 1.0, "b": 0.0}, "lora": {"a": 0.0, "b": 0.0}}
>>> curve = label_curve([(50, few, {}), (100, {**few, "lora": {"a": 1.0, "b": 1.0}}, {})])
>>> [(point["labels"], point["score"]) for point in curve["arms"]["lora"]], len(curve["paired"])
([(50, 0.0), (100, 1.0)], 2)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from meta_learning.acla.statistics import holm
from meta_learning.experiments.clusters import clustered_mean
from meta_learning.experiments.comparator import Groups, Scores, compare

Point = tuple[int, Mapping[str, Scores], Groups]


def label_curve(points: Sequence[Point]) -> dict[str, Any]:
    """``points``: the number of labels, each arm's scores by item, and the items' groups.

    Scores of an arm that needs no labels are the same at every number. Holm's correction is over all comparisons of the curve.
    """
    arms = defaultdict[str, list[dict[str, Any]]](list)
    paired = []
    for labels, scores, groups in points:
        for arm, found in scores.items():
            items = sorted(found)
            estimate = clustered_mean([found[item] for item in items], [groups.get(item) for item in items])
            low_high = {"low": estimate.low, "high": estimate.high}
            arms[arm].append({"labels": labels, "score": estimate.value, **low_high, "items": estimate.count})
        for one, other in combinations(scores, 2):
            paired.append((labels, compare(one, scores[one], {other: scores[other]}, groups=groups)[0]))
    adjusted = holm([one.p_value for _, one in paired])
    return {
        "arms": dict(arms),
        "paired": [
            {"labels": labels, **replace(one, p_adjusted=p).as_dict()}
            for (labels, one), p in zip(paired, adjusted, strict=True)
        ],
    }
