"""Runs of ``meta-learning evolve`` read as recorded runs: their folders hold an order and a log of their own form.

``<folder>/evolutions/<run_id>/``: ``order.json`` (what was ordered), ``log.jsonl`` (paid replies and decisions) and
``made_with.json`` (code and machine of its first life; the service's runs and older ones have none).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meta_learning.errors import MalformedState
from meta_learning.utils.provenance import without_secrets

EVOLUTIONS = "evolutions"
SUMMARISED = ("outcome", "reason", "best_prompt", "best_performance", "seed_performance", "calls", "spent", "items")
MADE_WITH = "made_with.json"
CODE = {"meta_learning": "not recorded", "commit": None, "uncommitted_changes": False}
MADE_ON = {"python": "not recorded", "platform": "not recorded", "cpus_count": "?"}


def evolutions(folder: Path) -> Iterator[Path]:
    """The folders of all runs under the data folder."""
    return (path.parent for path in sorted((folder / EVOLUTIONS).glob("*/order.json")))


def manifest_of(path: Path) -> dict[str, Any]:
    """What was ordered, in the form of a logged run's manifest; what an order does not say is said to be missing.

    Raises:
        MalformedState: the order cannot be read.
    """
    order = path / "order.json"
    try:
        config = json.loads(order.read_bytes())
        started = datetime.fromtimestamp(order.stat().st_mtime, UTC).isoformat()
        seeds = {"seed": config["seed"]}
        if config.get("base_url"):
            config["base_url"] = without_secrets([config["base_url"]])[0]
        made = json.loads((path / MADE_WITH).read_bytes()) if (path / MADE_WITH).exists() else {}
        code, environment = made.get("code", CODE), made.get("environment", MADE_ON)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedState(f"{order} cannot be read: {error}") from None
    return {
        "config": config,
        "seeds": seeds,
        "data": {},
        "code": code,
        "environment": environment,
        "started_at": [started],
        "kind": "evolution",
    }


def records_of(log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A run's own log as records of a logged run: its history, its end and what it found, once it has ended."""
    ended = next((event["results"] for event in log if event["kind"] == "finished"), None)
    if ended is None:
        replies = sum(event["kind"] == "reply" for event in log)
        return [{"kind": "event", "event": "open", "message": f"{replies:,} replies so far; go on with --resume"}]
    points: list[dict[str, Any]] = [
        {"kind": "iteration", "iteration": point["iteration"], "metrics": _metrics(point)}
        for point in ended["performance_history"]
    ]
    summary = {name: ended[name] for name in SUMMARISED if name in ended}
    return [*points, {"kind": "summary", "summary": summary}, {"kind": "closed"}]


def _metrics(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: point[name] for name in ("score", "low", "high", "calls") if name in point}
