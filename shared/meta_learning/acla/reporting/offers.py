"""What a better score costs, as a table: one for the page and the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def offers(results: Mapping[str, Any]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """The head and the rows: everybody on the front, what is in use and whoever was judged, cheapest first.

    >>> row = {"version": "a", "score": 0.8, "low": 0.7, "high": 0.9, "tokens": 47.4, "latency_s": 0.25, "price_usd": 0.0001}
    >>> row |= {"standing": "in use", "decided_score": None, "decided_low": None, "decided_high": None}
    >>> row |= {"search_items": 90, "decided_items": 0}
    >>> offers({"front": [row], "best_version": "a", "level": 0.8})[1]
    [('a', '0.800 (0.700 to 0.900)', '90', '—', '—', '47', '0.25', '0.1000', 'in use, taken')]
    """
    level = f"{100 * results.get('level', 0.8):.0f} % interval"
    head = (
        "prompt",
        f"expected after the search, {level}",
        "items",
        f"in the decision, {level}",
        "items",
        "tokens a question",
        "seconds",
        "US dollars for 1,000",
        "standing",
    )
    return head, [_cells(row, results["best_version"]) for row in known_offers(results)]


def known_offers(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The front of a run; none where an earlier version made it, which did not say what may be taken."""
    return [row for row in results.get("front", []) if "standing" in row]


def _cells(row: Mapping[str, Any], taken: str) -> tuple[str, ...]:
    price = "?" if row["price_usd"] is None else f"{1000.0 * row['price_usd']:.4f}"
    said = f"{row['standing']}, taken" if row["version"] == taken else row["standing"]
    shown = [_score(row["score"], row["low"], row["high"]), _count(row.get("search_items"))]
    shown += [_score(row["decided_score"], row["decided_low"], row["decided_high"]), _count(row.get("decided_items"))]
    return (row["version"], *shown, f"{row['tokens']:.0f}", f"{row['latency_s']:.2f}", price, said)


def _count(items: int | None) -> str:
    return str(items) if items else "—"


def _score(score: float | None, low: float | None, high: float | None) -> str:
    return "—" if score is None else f"{score:.3f} ({low or 0.0:.3f} to {high or 0.0:.3f})"
