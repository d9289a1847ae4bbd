"""What was fixed before the reported runs (`benchmarks/acla_protocol.md`), arm by arm."""

from __future__ import annotations

from typing import Any

from benchmarks.acla_peers.arms import Cell

BUDGET, READ_OFF = 1000, 300
ARMS = ("seed", "random", "mipro", "gepa", "capo", "ours", "ours-text")
RIVALS = ("random", "mipro", "gepa", "capo")
CURVE = (100, 200, 300, 500, 700, 1000)
CURVE_ITEMS = 100

# Fitted to the budgets by counts of calls on data seed 0 against a scripted model; nothing was tuned on how well anything answered.
SETTINGS: dict[str, dict[str, Any]] = {
    "seed": {},
    "random": {"val_count": 48, "shots": [2, 4, 6]},
    "mipro": {"val_count": 100, "candidates": 6, "demos": 4, "trials": 14, "minibatch": 35},
    "gepa": {"val_count": 50},
    "capo": {"population": 4, "crossovers": 4, "block": 30, "blocks": 3, "shots": 5, "reasoning": False, "steps": 10},
    "ours": {"max_iterations": 60},
    "ours-text": {"max_iterations": 60},
}
# Whole runs with 300 calls: of MIPROv2, which shows no state before its end, and of ours, with its decision on fresh items.
SMALL: dict[str, dict[str, Any]] = {
    "mipro": {"val_count": 60, "candidates": 4, "demos": 4, "trials": 5, "minibatch": 25},
    "ours": {"max_iterations": 60},
}


def cells(task: str, seeds: list[int], arms: tuple[str, ...] = ARMS, prepared: bool = True) -> list[Cell]:
    """All cells of a task, data seed by data seed: a whole run an arm, and the small ones."""
    found = []
    for seed in seeds:
        found += [Cell(task, arm, seed, BUDGET, SETTINGS[arm], prepared) for arm in arms]
        found += [Cell(task, arm, seed, READ_OFF, SMALL[arm], prepared) for arm in arms if arm in SMALL]
    return found
