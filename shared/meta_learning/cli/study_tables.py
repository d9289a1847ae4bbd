"""What a study found, as tables on the screen: one function a kind of study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from meta_learning.cli.printing import printed, table_of


def say(report: Mapping[str, Any]) -> None:
    """Print the report."""
    for name, group in report["groups"].items():
        typer.echo(f"\n{name}")
        if report.get("kind") == "feedback_loop":
            printed(_loops(group["arms"]))
            printed(_correlations(group["arms"]))
        else:
            _of_prompts(group)
    for name, curve in report.get("by_labels", {}).items():
        typer.echo(f"\n{name}: score by the number of labels")
        printed(_by_labels(curve["arms"]))
    if through := report.get("services"):
        typer.echo(f"\n{_agreement(through)}")
    for error in report["errors"]:
        typer.echo(f"not run: {error['cell']}: {error['error']}", err=True)


def _agreement(through: Mapping[str, Any]) -> str:
    """What the services did with the events, beside what the library does with them in process."""
    said = (
        f"through the services: {through['agreeing']} of {through['cells']} cells came out as the same events do in process "
        f"({through['questions']:,} questions, {through['cycles']:,} cycles; largest difference of a score "
        f"{through['expected_difference']:.2g}, other versions {through['versions_differing']:,}"
    )
    return said + (f"; unequal: {', '.join(through['differing'])})" if through["differing"] else ")")


def _by_labels(arms: Mapping[str, list[dict[str, Any]]]) -> Any:
    """A row an arm, a column a number of labels."""
    counts = sorted({point["labels"] for points in arms.values() for point in points})
    table = table_of("arm", *(f"{count:,}" for count in counts))
    for arm, points in arms.items():
        at = {point["labels"]: f"{_number(point['score'])} ({_interval(point)})" for point in points}
        table.add_row(arm, *(at.get(count, "–") for count in counts))
    return table


def _of_prompts(group: Mapping[str, Any]) -> None:
    table = table_of("arm", "score", "95 % interval", "items", "seeds", "calls to search", "all calls", "outcomes")
    for arm in group["arms"]:
        items = f"{arm['items']}" + (f" of {arm['groups']} groups" if arm.get("groups") else "")
        row = (_number(arm["score"]), _interval(arm), items, str(arm["seeds"]))
        calls = (f"{arm['calls_mean']:,.0f}", f"{arm['all_calls_mean']:,.0f}")
        table.add_row(arm["arm"], *row, *calls, arm["outcomes"])
    printed(table)
    for title, found in (("against baselines", group["comparisons"]), ("strategies", group["strategies"])):
        if found:
            typer.echo(f"\n{title} (paired on the same items, corrected for their number)")
            printed(compared(found))
    _elsewhere(group)


def _elsewhere(group: Mapping[str, Any]) -> None:
    """The sections that only an analysis of strategies has."""
    if group.get("convergence"):
        typer.echo("\nhow fast (means over the seeds)")
        table = table_of("arm", "iterations to the last prompt", "of", "calls to it", "mean score over the calls")
        for one in group["convergence"]:
            iterations = (f"{one['iterations_to_best']:.1f}", f"{one['iterations']:.1f}")
            table.add_row(one["arm"], *iterations, f"{one['calls_to_best']:,.0f}", f"{one['area']:.3f}")
        printed(table)
    for title, found in (("on perturbed inputs", group.get("robustness")), ("elsewhere", group.get("transfer"))):
        if found:
            typer.echo(f"\n{title} (paired on the same items, corrected for their number)")
            printed(
                compared(
                    [{**one, "arm": f"{one['arm']}, {one['where']}" if "where" in one else one["arm"]} for one in found]
                )
            )


def compared(found: list[dict[str, Any]]) -> Any:
    """Comparisons as a table."""
    table = table_of("arm", "against", "points", "95 % interval", "p", "power for 5 points")
    for one in found:
        power = f"{100 * one['power_for_5_points']:.0f} %"
        points = (_number(one["gain"], 100, "+.1f"), _interval(one, 100, "+.1f"))
        table.add_row(one["arm"], one["against"], *points, f"{one['p_adjusted']:.3f}", power)
    return table


def _interval(found: Mapping[str, Any], scale: int = 1, form: str = ".3f") -> str:
    """Without ends where there are none: all was refused, or all that was answered is of one group."""
    if found["low"] is None or found["high"] is None:
        return "–"
    return f"{_number(found['low'], scale, form)} to {_number(found['high'], scale, form)}"


def _number(value: float | None, scale: int = 1, form: str = ".3f") -> str:
    return "–" if value is None else format(scale * value, form)


def _loops(arms: list[dict[str, Any]]) -> Any:
    columns = ("satisfied", "alignment, said", "true", "coherence", "alarms, 1st half", "2nd half", "promoted")
    names = (
        "accuracy_end",
        "alignment_end",
        "alignment_true",
        "coherence_end",
        "alarms_early",
        "alarms_late",
        "promoted",
    )
    table = table_of("labels", "%", *columns, "seeds")
    for arm in arms:
        cells = [mean_of(arm[name]) for name in names]
        table.add_row(arm["arm"], f"{arm['labels_percent']:g}", *cells, str(len(arm["seeds"])))
    return table


def _correlations(arms: list[dict[str, Any]]) -> Any:
    table = table_of("over the cycles, satisfaction goes with", "drift", "alignment", "coherence")
    for arm in arms:
        found = arm["satisfaction_correlation"]
        table.add_row(arm["arm"], *(_within(found[name]) for name in ("drift", "alignment", "coherence")))
    return table


def _within(point: Mapping[str, Any]) -> str:
    if point["mean"] is None:
        return "–"
    return f"{point['mean']:+.2f}" + ("" if point["low"] is None else f" ({point['low']:+.2f} to {point['high']:+.2f})")


def mean_of(point: Mapping[str, Any]) -> str:
    """A mean over seeds with its half-width, where there is one."""
    if point["mean"] is None:
        return "–"
    half = "" if point["half_width"] is None else f" ± {point['half_width']:.3f}"
    return f"{point['mean']:.3f}{half}"
