"""The numbers of one loop, judged on all interactions: asked about or not, rated honestly or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from meta_learning.experiments.intervals import Floats
from meta_learning.experiments.loops.following import Followed

SCORES = ("drift", "alignment", "coherence")
CYCLES_MIN = 8


def measured(told: Followed, chosen: bool, cycle_size: int = 100) -> dict[str, Any]:
    """The numbers of one run; without a full cycle there are none of the loop's own."""
    expected, satisfied = np.array(told.expected), np.array(told.satisfied)
    right = satisfied if chosen else correct(expected, satisfied)
    quarter = slice(3 * len(satisfied) // 4, None)
    found = {
        "accuracy": tenths(right),
        "accuracy_end": float(right[quarter].mean()),
        "constant_end": max(float(satisfied[quarter].mean()), 1 - float(satisfied[quarter].mean())),
        "alignment_quarter": concordance(expected[quarter], satisfied[quarter]),
    }
    if not told.cycles:
        return found
    return found | _of_the_scores(told, len(satisfied)) | aligned(told, cycle_size)


def _of_the_scores(told: Followed, count: int) -> dict[str, Any]:
    cycles, middle, last = told.cycles, count // 2, told.cycles[-1]
    early = [one for one in told.alarms if one["interactions"] <= middle]
    late = [one for one in told.alarms if one["interactions"] > middle]
    return {
        "alarms_early": len(early),
        "alarms_late": len(late),
        "delay": late[0]["interactions"] - middle if late else None,
        "alarmed": sorted({one["kind"] for one in late}),
        "behaviour_median": median([one["kinds"]["behaviour"] for one in cycles]),
        "behaviour_max": max([one["kinds"]["behaviour"] or 0.0 for one in cycles]),
        "coherence_end": last["coherence"][0],
        "diversity_end": last["diversity"]["vendi"],
        "promoted": sum(one["decision"] == "promoted" for one in cycles) / len(cycles),
        "patterns": {name: first_seen(cycles, name) for name in sorted({n for one in cycles for n in one["patterns"]})},
    }


def aligned(told: Followed, cycle_size: int) -> dict[str, Any]:
    """What the loop said of its alignment at the end, and what it was over the same interactions.

    Truth is 2 * concordance - 1 of the expected scores with the users' satisfaction, over the interactions since the first label
    in the window of the loop's last figure, so that both speak of the same champions.
    """
    expected, satisfied, last = np.array(told.expected), np.array(told.satisfied), told.cycles[-1]
    if not last["alignment_n"]:
        return {"alignment_end": None, "alignment_true": None, "alignment_within": None, "alignment_n": 0}
    pending = len(told.labelled) % cycle_size
    since = told.labelled[max(len(told.labelled) - pending - last["alignment_n"], 0)]
    truth = concordance(expected[since:], satisfied[since:])
    end, low, high = last["alignment"]
    within = None if low is None or high is None else float(low <= truth <= high)
    return {
        "alignment_end": end,
        "alignment_true": truth,
        "alignment_within": within,
        "alignment_n": last["alignment_n"],
    }


def satisfaction(told: Followed, chosen: bool) -> list[float]:
    """By cycle: the share of interactions since the last one in which the loop did what the user wanted.

    Where it chooses, the shown answer is what was wanted; where it does not, it expected rightly whether they would like it.
    """
    expected, satisfied = np.array(told.expected), np.array(told.satisfied)
    right = satisfied if chosen else correct(expected, satisfied)
    ends = [line["interactions"] for line in told.cycles]
    return [round(float(right[start:end].mean()), 4) for start, end in zip([0, *ends], ends, strict=False)]


def correlations(cycles: Sequence[dict[str, Any]], satisfied: Sequence[float]) -> dict[str, float | None]:
    """Of each score with satisfaction over the cycles, by ranks (Spearman, 1904); None where one of them never moved."""
    return {name: _by_ranks([_current(line[name]) for line in cycles], satisfied) for name in SCORES}


def _by_ranks(scores: Sequence[float | None], satisfied: Sequence[float]) -> float | None:
    pairs = [(one, other) for one, other in zip(scores, satisfied, strict=True) if one is not None]
    if len(pairs) < CYCLES_MIN or any(len(set(column)) < 2 for column in zip(*pairs, strict=True)):
        return None
    first, second = zip(*pairs, strict=True)
    return float(stats.spearmanr(first, second).statistic)


def _current(score: Any) -> float | None:
    """A score, or the first of its value and interval."""
    found: float | None = score[0] if isinstance(score, list) else score
    return found


def correct(expected: Floats, satisfied: Floats) -> Floats:
    """Where the loop expected rightly on which side of 0.5 the user stands."""
    return np.asarray((expected >= 0.5) == (satisfied >= 0.5), dtype=np.float64)


def tenths(right: Floats) -> list[float]:
    """Means over tenths of the stream."""
    return [round(float(part.mean()), 4) for part in np.array_split(right, 10)]


def median(numbers: Sequence[float | None]) -> float | None:
    """Of those that are known."""
    known = [number for number in numbers if number is not None]
    return float(np.median(known)) if known else None


def first_seen(cycles: Sequence[dict[str, Any]], name: str) -> int:
    """The cycle in which a pattern was first told."""
    return int(next(one["cycle"] for one in cycles if name in one["patterns"]))


def concordance(expected: Floats, satisfied: Floats) -> float:
    """Chance-corrected: 2 * AUC - 1 (Mann & Whitney).

    >>> concordance(np.array([0.1, 0.4, 0.8]), np.array([0.0, 0.0, 1.0]))
    1.0
    """
    ranks, liked = stats.rankdata(expected), satisfied > 0.5
    count = int(liked.sum())
    area = (ranks[liked].sum() - count * (count + 1) / 2) / max(count * (len(satisfied) - count), 1)
    return float(2 * area - 1)
