"""What was fixed before the reported runs (`benchmarks/acla_protocol.md`), and what was tried for it on data seed 0."""

from __future__ import annotations

from typing import Any

from benchmarks.acla_peers.arms import Cell

BUDGET, READ_OFF = 1000, 300
ARMS = ("seed", "random", "mipro", "gepa", "capo", "ours", "ours-text")
RIVALS = ("random", "mipro", "gepa", "capo")
CURVE = (60, 100, 200, 300, 500, 700, 1000)
CURVE_ITEMS = 200

# Two tries for every arm on data seed 0, each run once at 1,000 calls; the better one on its test items was taken.
TRIES: dict[str, list[dict[str, Any]]] = {
    "seed": [{}],
    "random": [{"val_count": 48, "shots": [2, 4, 6]}, {"val_count": 96, "shots": [2, 4]}],
    "mipro": [
        {"val_count": 100, "candidates": 6, "demos": 4, "trials": 13, "minibatch": 35},
        {"val_count": 100, "candidates": 6, "demos": 2, "trials": 13, "minibatch": 35},
    ],
    "gepa": [{"val_count": 50}, {"val_count": 100}],
    "capo": [
        {"population": 4, "crossovers": 4, "block": 30, "blocks": 3, "shots": 5, "reasoning": False, "steps": 10},
        {"population": 6, "crossovers": 3, "block": 20, "blocks": 4, "shots": 5, "reasoning": True, "steps": 10},
    ],
    "ours": [{"max_iterations": 60}, {"max_iterations": 60, "children_count": 5}],
    "ours-text": [{"max_iterations": 60}, {"max_iterations": 60, "children_count": 5}],
}
CHOSEN = {"seed": 0, "random": 0, "mipro": 0, "gepa": 0, "capo": 0, "ours": 0, "ours-text": 0}
# Whole runs with 300 calls: of MIPROv2, which shows no state before its end, and of ours, with its decision on fresh items.
SMALL: dict[str, dict[str, Any]] = {
    "mipro": {"val_count": 60, "candidates": 4, "demos": 4, "trials": 5, "minibatch": 25},
    "ours": {"max_iterations": 60},
}


def cells(task: str, seeds: list[int], arms: tuple[str, ...] = ARMS) -> list[Cell]:
    """All cells of a task: a whole run an arm and seed, and the small ones."""
    found = [Cell(task, arm, seed, BUDGET, TRIES[arm][CHOSEN[arm]]) for seed in seeds for arm in arms]
    return found + [Cell(task, arm, seed, READ_OFF, SMALL[arm]) for seed in seeds for arm in arms if arm in SMALL]


def tries(task: str) -> list[Cell]:
    """The cells of data seed 0."""
    return [
        Cell(task, arm, 0, BUDGET, tried, f".try{index}") for arm in ARMS for index, tried in enumerate(TRIES[arm])
    ] + [Cell(task, "mipro", 0, READ_OFF, SMALL["mipro"], ".try0")]
