"""The user's pick by a floor: the cheapest that is surely good enough, of what may be put to use at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meta_learning.acla.offered import IN_USE, NOT_PROVEN
from meta_learning.errors import CallerError


def with_floor(results: Mapping[str, Any], floor: float) -> dict[str, Any]:
    """The results with the cheapest taken that is surely at ``floor``, of what is in use and what the gate has proven.

    Nothing else is ever taken: of many that were searched, one reaches any floor by luck. Where none is surely there, the results
    stay as they are, and ``pick`` says so. It counts what the gate saw; of what is in use, which nobody searched for, what the
    search saw where no gate did.

    Raises:
        CallerError: an earlier version of this library made the results, which lack what this needs.

    >>> row = {"version": "a", "tokens": 9.0, "standing": "in use", "score": 0.8, "decided_score": None, "low": 0.7, "high": 0.9}
    >>> found = {"front": [row], "takeable": {}, "best_version": "a"}
    >>> with_floor(found, 0.75)["pick"]["reason"]
    'nothing that may be taken is surely at 0.75, so the floor changes nothing'
    >>> with_floor(found, 0.6)["pick"]["reason"]
    'a (in use) is the cheapest that is surely at 0.6: 0.800 (0.700 to 0.900) on the items of the search, 9 tokens a question'
    """
    if "takeable" not in results:
        raise CallerError("a run that an earlier version made does not say what may be taken: leave --floor out")
    rows = results["front"]
    known = [(row, _seen(row)) for row in rows if row["standing"] != NOT_PROVEN]
    safe = [(row, *seen) for row, seen in known if seen is not None and seen[1] >= floor]
    if not safe:
        return dict(results) | {"pick": _pick(results["best_version"], floor, _nothing(rows, floor))}
    row, score, low, high, items = min(safe, key=lambda one: (one[0]["tokens"], -one[1]))
    best, version = results["best_version"], row["version"]
    said = (
        f"{version} ({row['standing']}) is the cheapest that is surely at {floor:g}: {score:.3f} ({low:.3f} to {high:.3f}) "
        f"on {items}, {row['tokens']:.0f} tokens a question"
    )
    if version == best:
        return dict(results) | {"pick": _pick(version, floor, said)}
    packages = results["takeable"][version]
    return dict(results) | {
        "best_version": version,
        "best_prompt": packages[0]["prompt"],
        "best_package": packages[0],
        "best_performance": score,
        "ensemble": packages if len(packages) > 1 else [],
        "price": {"calls": len(packages), "tokens": row["tokens"], "money_usd": row["price_usd"]},
        "pick": _pick(version, floor, f"{said}; {best}, {_instead(results)}, is not taken"),
    }


def _seen(row: Mapping[str, Any]) -> tuple[float, float, float, str] | None:
    """The score with its interval, and on what items; None where nothing was seen that says anything."""
    if row["decided_score"] is not None:
        return row["decided_score"], row["decided_low"], row["decided_high"], f"{row['decided_items']} items"
    if row["standing"] == IN_USE and row["score"] is not None and row["low"] is not None:
        return row["score"], row["low"], row["high"], "the items of the search"
    return None


def _instead(results: Mapping[str, Any]) -> str:
    return "which is better beyond chance" if results["outcome"] == "improved" else "which nothing has proven"


def _nothing(rows: Sequence[Mapping[str, Any]], floor: float) -> str:
    said = f"nothing that may be taken is surely at {floor:g}, so the floor changes nothing"
    tempting = [row["version"] for row in rows if row["standing"] == NOT_PROVEN and (row["low"] or 0.0) >= floor]
    if tempting:
        said += f"; {', '.join(tempting)} may be there, by the search's items, which prove nothing"
    return said


def _pick(version: str, floor: float, reason: str) -> dict[str, Any]:
    return {"version": version, "floor": floor, "reason": reason}
