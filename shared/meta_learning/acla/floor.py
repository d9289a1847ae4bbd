"""The user's pick by a floor: the cheapest that is surely good enough, of what may be put to use at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meta_learning.acla.offered import IN_USE, NOT_PROVEN


def with_floor(results: Mapping[str, Any], floor: float) -> dict[str, Any]:
    """The results with the cheapest taken that is surely at ``floor`` by the gate's items: of what is in use and what it has proven.

    Nothing else is ever taken: of many that were searched, one reaches any floor by luck. Where none is surely there, the results
    stay as they are, and ``pick`` says so.

    >>> row = {"version": "a", "tokens": 9.0, "standing": "in use", "decided_score": None, "decided_low": None, "low": 0.7}
    >>> with_floor({"front": [row], "best_version": "a"}, 0.6)["pick"]["reason"]
    'nothing that may be taken is surely at 0.6 by the items of the decision, so the floor changes nothing'
    """
    rows = results["front"]
    allowed = [row for row in rows if row["standing"] != NOT_PROVEN]
    safe = [row for row in allowed if row["decided_low"] is not None and row["decided_low"] >= floor]
    if not safe:
        return dict(results) | {"pick": _pick(results["best_version"], floor, _nothing(rows, floor))}
    row = min(safe, key=lambda one: (one["tokens"], -one["decided_score"]))
    best, version = results["best_version"], row["version"]
    said = (
        f"{version} ({row['standing']}) is the cheapest that is surely at {floor:g}: {row['decided_score']:.3f} "
        f"({row['decided_low']:.3f} to {row['decided_high']:.3f}) on {row['decided_items']} items, "
        f"{row['tokens']:.0f} tokens a question"
    )
    if version == best:
        return dict(results) | {"pick": _pick(version, floor, said)}
    said += f"; {best}, which is better beyond chance{' and dearer' if row['standing'] == IN_USE else ''}, is not taken"
    packages = results["takeable"][version]
    return dict(results) | {
        "best_version": version,
        "best_prompt": packages[0]["prompt"],
        "best_package": packages[0],
        "best_performance": row["decided_score"],
        "ensemble": packages if len(packages) > 1 else [],
        "price": {"calls": len(packages), "tokens": row["tokens"], "money_usd": row["price_usd"]},
        "pick": _pick(version, floor, said),
    }


def _nothing(rows: list[dict[str, Any]], floor: float) -> str:
    said = (
        f"nothing that may be taken is surely at {floor:g} by the items of the decision, so the floor changes nothing"
    )
    tempting = [row["version"] for row in rows if row["standing"] == NOT_PROVEN and (row["low"] or 0.0) >= floor]
    if tempting:
        said += f"; {', '.join(tempting)} may be there, by the search's items, which prove nothing"
    return said


def _pick(version: str, floor: float, reason: str) -> dict[str, Any]:
    return {"version": version, "floor": floor, "reason": reason}
