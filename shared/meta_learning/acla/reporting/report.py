"""A finished run as a page that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meta_learning.acla.reporting.difference import difference
from meta_learning.acla.reporting.offers import offers

MEANINGS = {
    "improved": "the new prompt is better, on fresh items and beyond chance",
    "no_evidence": "nothing was found that is better beyond chance; the prompt stays",
    "no_headroom": "the prompt is so good already that no gain of the wanted size is possible",
    "stopped_by_budget": "the budget ended before there was a decision; the prompt stays",
    "search_only": "there was a search and no decision on fresh items: take its best with care",
    "failed": "nothing could be measured",
    "cancelled": "stopped on request; the run can be resumed",
}
Cells = Sequence[object]


def markdown(results: Mapping[str, Any], seed_prompt: str, about: Mapping[str, Any]) -> str:
    """The report. ``about``: what was run, name by name (data set, model, budget …).

    >>> page = markdown({"outcome": "no_headroom", "reason": "full marks", "best_prompt": "A"}, "A", {"data set": "x"})
    >>> page.splitlines()[0], "full marks" in page
    ('# no_headroom: the prompt is so good already that no gain of the wanted size is possible', True)
    """
    outcome = results["outcome"]
    parts = [f"# {outcome}: {MEANINGS.get(outcome, '')}", str(results["reason"])]
    parts += [f"By your floor: {results['pick']['reason']}." if results.get("pick") else "", _facts(about)]
    parts += [
        _decision(results),
        _offers(results),
        _conditions(results),
        _diff(seed_prompt, results["best_prompt"]),
        _package(results),
        _spent(results),
    ]
    parts += [_history(results), _candidates(results), _decisions(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Cells, rows: Sequence[Cells]) -> str:
    """A table; a bar in a cell cannot break it.

    >>> print(table(("a", "b"), [(1, "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(one) for one in line) + " |" for line in lines)


def _cell(value: object) -> str:
    shown = "—" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    return " ".join(shown.split()).replace("|", "\\|")


def _facts(about: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {_cell(value)}" for name, value in about.items())


def _decision(results: Mapping[str, Any]) -> str:
    gate, plan = results.get("gate"), results.get("plan") or {}
    planned = ""
    if plan:
        planned = (
            f"Planned before the first call: {plan['gate_items']} fresh items, and calls for {plan['finalists']} of the candidates; "
            f"a true gain of 5 points is seen in {100 * plan['power_for_5_points']:.0f} % of such runs, one of "
            f"{100 * plan['detectable_gain']:.0f} points in 80 %."
        )
    if not gate:
        return f"## The decision\n\n{planned}" if planned else ""
    rows = [
        (one["version"], _pairs(one), one["seed_score"], one["score"], _points(one), _least(one), one["p_adjusted"])
        for one in gate["finalists"]
    ]
    head = (
        "finalist",
        "items",
        "seed prompt",
        "finalist's score",
        "points, 95 % interval",
        "at least, at the test's level",
        "p (Holm)",
    )
    return f"## The decision\n\n{planned}\n\n{table(head, rows)}"


def _pairs(one: Mapping[str, Any]) -> str:
    count, fresh = one["pairs_count"], one.get("fresh_count", one["pairs_count"])
    return f"{count} fresh" if fresh == count else f"{count}, {fresh} of them fresh"


def _offers(results: Mapping[str, Any]) -> str:
    head, rows = offers(results)
    said = (
        "Nobody here is both dearer and not surely better than another, but for what is in use and what came before the decision, "
        "which are always shown. Only what is in use and what is proven may be taken: what is not proven is expected to score so "
        "after the search, which flatters."
    )
    return f"## What a better score costs\n\n{said}\n\n{table(head, rows)}" if rows else ""


def _conditions(results: Mapping[str, Any]) -> str:
    lines = conditions(results)
    return "## The model\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def conditions(results: Mapping[str, Any]) -> list[str]:
    """What was found out about the model before anything was concluded from its answers, a sentence each."""
    lines: list[str] = []
    wavers, server = results.get("wavering"), results.get("endpoint") or {}
    if wavers:
        lines.append(
            f"{wavers['flips']} of {wavers['items']} answers were others when the same was asked again "
            f"({100 * wavers['low']:.0f} to {100 * wavers['high']:.0f} %): a true gain of 5 points is seen in "
            f"{100 * wavers['power_for_5_points']:.0f} % of such runs, one of {100 * wavers['detectable_gain']:.0f} points in 80 %."
        )
    if server.get("keeps_max_tokens") is False:
        lines.append(
            "The server generates more tokens than it is told to: caps on tokens and money may be passed by that much."
        )
    if server.get("system_role") is False:
        lines.append("The server does not hear instructions in a turn of their own: they were put before each input.")
    if results.get("scoring") == "judge":
        lines.append("The model itself judged the answers; what a model likes need not be what users like.")
    elif server:
        lines.append(
            f"Answers were scored by {'log-probabilities of labels' if server['label_logprobs'] else 'their text'}."
        )
    return lines


def _points(one: Mapping[str, Any]) -> str:
    return f"{100 * one['gain']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"


def _least(one: Mapping[str, Any]) -> str:
    return f"{100 * one['at_least']:+.1f}" if "at_least" in one else "—"


def _diff(before: str, after: str) -> str:
    lines = difference(before, after)
    said = "```diff\n" + "\n".join(lines) + "\n```" if lines else "The text of the prompt stays as it is."
    return f"## The prompt against the one it began with\n\n{said}"


def _package(results: Mapping[str, Any]) -> str:
    if voters := results.get("ensemble"):
        said = [f"### Voter {number}\n\n```\n{one['prompt']}\n```" for number, one in enumerate(voters, start=1)]
        price = f"{len(voters)} prompts vote: every question takes {len(voters)} calls, about {results['price']['tokens']:.0f} tokens."
        return "\n\n".join(["## The prompts that vote", price, *said])
    bias = (results.get("best_package") or {}).get("label_bias") or {}
    if not bias:
        return ""
    rows = [(label, float(value)) for label, value in sorted(bias.items())]
    return "## What is added to each label's log-probability\n\n" + table(("label", "added"), rows)


def _spent(results: Mapping[str, Any]) -> str:
    purposes = (results.get("spent") or {}).get("purposes") or {}
    rows = [
        (name, one["calls"], one["failed"], one["cached"], one["tokens"], one["money_usd"], one["latency_s"])
        for name, one in purposes.items()
    ]
    head = ("purpose", "calls", "of them failed", "from the cache", "tokens", "US dollars", "seconds in all")
    count = sum(one.get("estimated", 0) for one in purposes.values())
    said = f"What {count} calls took was not said by the server: they are entered with the most that it can have been."
    parts = ["## What it took", table(head, rows), *([said] if count else [])]
    return "\n\n".join(parts) if rows else ""


def _history(results: Mapping[str, Any]) -> str:
    rows = [
        (point["iteration"], point["score"], _interval(point), point["calls"])
        for point in results.get("performance_history", [])
    ]
    head = ("iteration", "best score on search items (it flatters)", "95 % interval", "calls")
    return "## The search\n\n" + table(head, rows) if rows else ""


def _candidates(results: Mapping[str, Any]) -> str:
    ideas = {one["version"]: one["note"] for one in results.get("lineage", [])}
    rows = [
        (
            one["version"],
            one["strategy"],
            one["items_count"],
            one["score"],
            _interval(one),
            _gain(one),
            ideas.get(one["version"], ""),
        )
        for one in results.get("candidates", [])
    ]
    head = ("candidate", "made by", "items", "score", "95 % interval", "points over the seed on the same items", "idea")
    return "## The candidates\n\n" + table(head, rows) if rows else ""


def _interval(one: Mapping[str, Any]) -> str:
    return f"{one['low']:.3f} to {one['high']:.3f}"


def _gain(one: Mapping[str, Any]) -> str:
    return "" if one["strategy"] == "seed" else f"{100 * one['gain']:+.1f}"


def _decisions(results: Mapping[str, Any]) -> str:
    said = [f"{one['iteration']}. {one['decision']}: {one['because']}" for one in results.get("decisions", [])]
    return "## Why\n\n" + "\n".join(f"- iteration {line}" for line in said) if said else ""
