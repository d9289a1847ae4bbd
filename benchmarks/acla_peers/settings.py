"""What was fixed before the reported runs (`benchmarks/acla_protocol.md`), task by task and arm by arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.acla_peers.arms import Cell

ARMS = ("seed", "random", "mipro", "gepa", "capo", "random-label", "gepa-label", "ours", "ours-text")
# Where the model always answers with a label, a rival that reads labels is the same rival.
ARMS_AS_TEXT = ("seed", "random", "mipro", "gepa", "capo", "ours", "ours-text")
RIVALS = ("random", "mipro", "gepa", "capo", "random-label", "gepa-label")
CURVE_ITEMS = 100
Settings = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Calls of a whole run, calls at which it is read off before, points of the anytime curve, and settings of arms.

    ``small``: settings of whole runs with the calls of the reading: of MIPROv2, which shows no state before its end, and of
    ours, with its decision on fresh items. ``arms``: those that are run where nobody says which.
    """

    budget: int
    read_off: int
    curve: tuple[int, ...]
    settings: Settings
    small: Settings
    arms: tuple[str, ...] = ARMS


def _same_for_labels(settings: Settings) -> Settings:
    """An arm that reads labels has the settings of the arm that reads text."""
    return settings | {f"{arm}-label": settings[arm] for arm in ("random", "gepa")}


# The budget is there to be used, as the rivals use it: no early end at a good enough score.
_OURS = {"max_iterations": 60, "min_performance_threshold": 0.95}
_LARGE: Settings = {
    "seed": {},
    "random": {"val_count": 48, "shots": [2, 4, 6]},
    "mipro": {"val_count": 100, "candidates": 6, "demos": 4, "trials": 14, "minibatch": 35},
    "gepa": {"val_count": 50},
    "capo": {"population": 4, "crossovers": 4, "block": 30, "blocks": 3, "shots": 5, "reasoning": False, "steps": 10},
    "ours": _OURS,
    "ours-text": _OURS,
}
_SMALL: Settings = _LARGE | {
    "random": {"val_count": 30, "shots": [2, 4, 6]},
    "mipro": {"val_count": 60, "candidates": 4, "demos": 4, "trials": 5, "minibatch": 25},
    "gepa": {"val_count": 30},
    "capo": {"population": 3, "crossovers": 2, "block": 20, "blocks": 2, "shots": 4, "reasoning": False, "steps": 10},
}
_CURVE = (100, 200, 300, 600, 1000)
_READ_OFF: Settings = {arm: _SMALL[arm] for arm in ("mipro", "ours")}
PLANS = {
    "sentiment140": Plan(1000, 300, _CURVE, _same_for_labels(_LARGE), _READ_OFF),
    "commonsense": Plan(1000, 300, _CURVE, _same_for_labels(_LARGE), _READ_OFF, ARMS_AS_TEXT),
    "bundled": Plan(150, 100, (100, 150), {"random": {"val_count": 24, "shots": [2]}, "ours": {"max_iterations": 20}}, {}),
}  # fmt: skip


def cells(task: str, seeds: list[int], arms: tuple[str, ...] = (), prepared: bool = True) -> list[Cell]:
    """All cells of a task, data seed by data seed: a whole run an arm (the task's, without ``arms``), and the small ones."""
    plan, found = PLANS[task], []
    arms = arms or plan.arms
    for seed in seeds:
        found += [Cell(task, arm, seed, plan.budget, plan.settings[arm], prepared) for arm in arms]
        found += [Cell(task, arm, seed, plan.read_off, plan.small[arm], prepared) for arm in arms if arm in plan.small]
    return found
