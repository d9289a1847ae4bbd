"""What the demo says: one line a cycle, one a change of the evolution, and the tables at the end."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.markup import escape

from services.programs import Doors

STYLES = {"promoted": "green", "held": "yellow", "rejected": "red"}
FOLDED = {
    "trained": "trained",
    "capped": "capped",
    "distrusted": "distrusted",
    "unlearnt": "unlearnt",
    "open": "in the open cycle",
}
LEARNT_CYCLES = 10
SCORES = ("drift", "alignment", "coherence")


def number(value: float | None) -> str:
    """A score as people read it; what does not mean anything yet is being collected.

    >>> number(0.71828), number(None)
    ('0.72', 'collecting')
    """
    return "collecting" if value is None else f"{value:.2f}"


def cycle_line(cycle: dict[str, Any]) -> str:
    """One training cycle: the decision of its gates and the first reason."""
    style = STYLES.get(cycle["decision"], "white")
    reason = escape(cycle["reasons"][0]) if cycle["reasons"] else ""
    return f"cycle {cycle['cycle']:>3}  [{style}]{cycle['decision']:<8}[/]  {reason}"


def scores_line(cycle: dict[str, Any]) -> str:
    """The three scores after a cycle."""
    return "           " + "   ".join(f"{name} [bold]{number(cycle.get(name))}[/]" for name in SCORES)


def evolution_line(run: dict[str, Any]) -> str:
    """Where a prompt evolution stands."""
    if run["state"] == "ended":
        spread = "" if run["low"] is None else f" (gain {run['low']:+.2f} … {run['high']:+.2f})"
        return f"evolution  [bold]{run['outcome']}[/]{spread} after {run['calls_count']} model calls: {escape(run['reason'])}"
    progress = f" {run['iteration']}/{run['iterations_max']}" if run["iterations_max"] else ""
    best = "" if run["best_score"] is None else f", best {run['best_score']:.2f} on the search items"
    message = f": {escape(run['message'])}" if run["message"] else ""
    return f"evolution  {run['state']}{progress}{best}, {run['calls_count']} model calls{message}"


def summary(loop: str, sent: int, accepted: int, seen: dict[str, Any]) -> Iterator[str]:
    """What went in, what came out, and whether the counts agree."""
    counts, scores = seen.get("counts", {}), seen.get("scores", {}) or {}
    parts = (
        f"{counts.get(part, 0):,} {said}"
        for part, said in FOLDED.items()
        if counts.get(part) or part not in {"distrusted", "unlearnt"}
    )
    decided = ", ".join(f"{count} {decision}" for decision, count in sorted(counts.get("cycles", {}).items()))
    yield f"\n[bold]the loop {loop}[/]"
    yield row("sent", f"{sent:,}")
    yield row("accepted", f"{accepted:,}")
    yield row("monitored", f"{counts.get('monitored', 0):,}")
    yield row("folded by the trainer", " + ".join(parts))
    yield row("training cycles", decided or "none yet")
    yield row("learnt", learnt(seen.get("cycles", [])))
    for name in SCORES:
        yield row(name, interval(scores.get(name) or {}))
    for run in seen.get("evolutions", []):
        yield row("prompt evolution", evolution_line(run).removeprefix("evolution  "))


def row(name: str, value: str) -> str:
    """One line of a summary."""
    return f"  {name:<22} {value}"


def learnt(cycles: list[dict[str, Any]]) -> str:
    """How well the champion predicted the last cycles before anybody learnt them, beside a constant's line.

    >>> numbers = {"brier_champion": 0.12, "brier_constant": 0.17, "concordance_champion": 0.75}
    >>> learnt([{"events_count": 100, "numbers": numbers}])
    'Brier score 0.120 where a constant has 0.170, concordance 0.75, over the last 100 events, each before it was learnt'
    """
    judged = [cycle for cycle in cycles if cycle["numbers"].get("brier_champion") is not None][-LEARNT_CYCLES:]
    if not judged:
        return "nothing was promoted yet"
    champion, constant, concordance = (
        statistics.fmean(cycle["numbers"].get(name) or 0.0 for cycle in judged)
        for name in ("brier_champion", "brier_constant", "concordance_champion")
    )
    events = sum(cycle["events_count"] for cycle in judged)
    return (
        f"Brier score {champion:.3f} where a constant has {constant:.3f}, concordance {concordance:.2f}, "
        f"over the last {events:,} events, each before it was learnt"
    )


def interval(score: dict[str, Any]) -> str:
    """A score with its interval and n, as far as it has them.

    >>> interval({"current": 0.5, "low": 0.4, "high": 0.6, "n": 300})
    '0.50  (0.40 … 0.60, n = 300)'
    """
    if score.get("current") is None:
        return "collecting"
    # A score of a fixed probe has no sampling noise: its bounds are the score itself, and say nothing.
    bounds = (
        ""
        if score.get("low") is None or score["low"] == score.get("high")
        else f"{score['low']:.2f} … {score['high']:.2f}, "
    )
    state = (
        f"  {score['state']}" if score.get("state") else f"  set by {score['set_by']}" if score.get("set_by") else ""
    )
    return f"{score['current']:.2f}  ({bounds}n = {score.get('n', 0):,}){state}"


def where(doors: Doors, data: Path, loop: str) -> Iterator[str]:
    """Where to look next."""
    yield "\n[bold]where[/]"
    yield row("dashboard", doors.url("monitor", f"/?loop={loop}"))
    yield row("metrics", doors.url("monitor", "/metrics"))
    yield row("feedback door", doors.url("ingest", "/docs"))
    yield row("artifacts", f"{data}/registry (models and prompts), {data}/archive, {data}/logs")
