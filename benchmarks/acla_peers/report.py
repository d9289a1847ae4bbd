"""The tables of a finished comparison, as markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.acla_peers.arms import BY_LABEL, Cell
from benchmarks.acla_peers.cells import Bench, read_as
from benchmarks.acla_peers.figure import saved
from benchmarks.acla_peers.scoring import (
    Outcome,
    calls_to_reach,
    curve,
    differences,
    interval,
    macro_f1,
    mcnemar,
    outcome,
    shares,
)
from benchmarks.acla_peers.settings import CURVE_ITEMS, PLANS, RIVALS
from meta_learning.acla.statistics import holm

Found = dict[str, Any]
SEED_BY_LABEL, WHOLE_RUN = f"seed{BY_LABEL}", "ours, whole run"


class Report:
    """Everything about one task: read from the kept cells, never asked again."""

    def __init__(self, bench: Bench, wanted: Sequence[Cell]) -> None:
        self.bench, self.task = bench, wanted[0].task
        self.plan = PLANS[self.task]
        self.seeds = sorted({cell.seed for cell in wanted})
        self.whole: dict[str, list[Found]] = {}
        self.small: dict[str, list[Found]] = {}
        for cell in wanted:
            found = json.loads(bench.file(cell).read_text())
            (self.whole if cell.budget == self.plan.budget else self.small).setdefault(cell.arm, []).append(found)
        self.at = {calls: self._outcomes(calls) for calls in (self.plan.budget, self.plan.read_off)}
        self.curves = {arm: curve(bench, self.whole[arm]) for arm in self.whole if arm not in ("seed", "mipro")}

    def text(self) -> str:
        """All tables."""
        parts = [
            self._accuracy(self.plan.budget),
            self._both_readings(),
            self._accuracy(self.plan.read_off),
            self._cost(),
            self._behaviour(),
            self._ours(),
            self._curve(),
        ]
        return "\n\n".join(parts)

    def figure(self, folder: Path) -> list[Path]:
        """The anytime curves."""
        heads = {kind: self._first(kind) for kind in ("text", "label")}
        levels = {"seed prompt, as text": heads["text"], "seed prompt, as label": heads["label"]}
        return saved(folder, f"anytime-{self.task}", self.curves, levels)

    def _first(self, kind: str) -> float:
        """The seed prompt on the items of the curves."""
        rows = [row | {"package": read_as(kind, row["package"])} for row in self.whole["seed"]]
        return outcome(self.bench, rows, self.plan.budget, CURVE_ITEMS).accuracy

    def _outcomes(self, budget: int) -> dict[str, Outcome]:
        small, is_whole = self.small if budget == self.plan.read_off else {}, budget == self.plan.budget
        found = {
            arm: outcome(self.bench, rows, budget)
            for arm, rows in self.whole.items()
            if is_whole or arm not in small or arm == "ours"
        }
        for arm, rows in small.items():
            found[WHOLE_RUN if arm == "ours" else arm] = outcome(self.bench, rows, budget)
        found[SEED_BY_LABEL] = self._read("seed", "label")
        return found

    def _read(self, arm: str, kind: str) -> Outcome:
        """The final prompts of an arm, all read in one way."""
        read = [row | {"package": read_as(kind, row["package"]), "arm": f"{arm} as {kind}"} for row in self.whole[arm]]
        return outcome(self.bench, read, self.plan.budget)

    def _best_rival(self, budget: int) -> str:
        return max((arm for arm in RIVALS if arm in self.at[budget]), key=lambda arm: self.at[budget][arm].accuracy)

    def _accuracy(self, budget: int) -> str:
        found, best = self.at[budget], self._best_rival(budget)
        columns = ("arm", "reads", "accuracy", f"− {SEED_BY_LABEL}", f"− {best} (best rival)", "below its seed", "optimism",
                   "by data seed")  # fmt: skip
        lines = [
            f"### {budget} calls ({len(self.seeds)} data seeds × {len(found['seed'].rights[0])} held-out items)",
            "",
        ]
        lines += [_row(columns), "|---" * len(columns) + "|"]
        for arm, one in sorted(found.items(), key=lambda pair: -pair[1].accuracy):
            optimism = "—" if one.optimism is None else f"{100 * one.optimism:+.1f}"
            by_label = arm.endswith(BY_LABEL) or arm in ("ours", WHOLE_RUN)
            below = one.below(found[SEED_BY_LABEL if by_label else "seed"])
            row = (
                arm, "label" if by_label else "text", f"{one.accuracy:.3f}", _gain(one, found[SEED_BY_LABEL]),
                _gain(one, found[best]), f"{below}/{len(one.rights)}", optimism, " ".join(f"{fmean(r):.3f}" for r in one.rights),
            )  # fmt: skip
            lines.append(_row(row))
        return "\n".join([*lines, "", *(self._tested(arm, found) for arm in ("ours", "ours-text") if arm in found)])

    def _tested(self, arm: str, found: dict[str, Outcome]) -> str:
        others = [one for one in ("seed", SEED_BY_LABEL, *RIVALS) if one in found]
        values = [mcnemar(found[arm], found[one]) for one in others]
        said = ", ".join(f"{one} {p:.2g}" for one, p in zip(others, holm(values), strict=True))
        return f"- {arm} against each, exact McNemar over all pairs, Holm over {len(others)}: {said}."

    def _both_readings(self) -> str:
        """Every arm's final prompt read as text and as the most probable label: what is the prompt's, and what the reading's."""
        columns = ("arm", "as text", "− seed as text", "as label", "− seed as label", "chosen reading its replies as")
        lines = [
            f"### The prompts of {self.plan.budget} calls, each read in both ways (no thresholds)",
            "",
            _row(columns),
        ]
        lines.append("|---" * len(columns) + "|")
        seed = {kind: self._read("seed", kind) for kind in ("text", "label")}
        for arm in self.whole:
            text, label = (self._read(arm, kind) for kind in ("text", "label"))
            chosen = "—" if arm == "seed" else "label" if arm.endswith(BY_LABEL) or arm == "ours" else "text"
            gains = (_gain(text, seed["text"]), _gain(label, seed["label"]))
            lines.append(_row((arm, f"{text.accuracy:.3f}", gains[0], f"{label.accuracy:.3f}", gains[1], chosen)))
        return "\n".join(lines)

    def _cost(self) -> str:
        columns = (
            "arm",
            "calls: task",
            "proposer",
            "prompt tokens",
            "written tokens",
            "wall s",
            "not recorded",
            "characters",
            "ended",
        )
        lines = ["### What it took (means over data seeds)", "", _row(columns), "|---" * len(columns) + "|"]
        lines += [_row((arm, *_costs(found))) for arm, found in self.whole.items() if arm != "seed"]
        lines += [_row((f"{arm}, {self.plan.read_off}", *_costs(found))) for arm, found in self.small.items()]
        overhead = fmean(1000 * one["cpu_s"] / max(1, one["meter"]["calls"]) for one in self.whole["ours"])
        said = f"Ours outside the model, with the SDK and its HTTP client: {overhead:.1f} ms of CPU a call."
        return "\n".join([*lines, "", said])

    def _behaviour(self) -> str:
        expected = [[label for _, label in self.bench.items(self.task, seed).test] for seed in self.seeds]
        heading = f"### How it answers after {self.plan.budget} calls"
        lines = [heading, "", "| arm | macro-F1 | labels said |", "|---|---|---|"]
        for arm, one in self.at[self.plan.budget].items():
            said = ", ".join(f"{label} {100 * share:.1f} %" for label, share in shares(one).items())
            lines.append(_row((arm, f"{macro_f1(one, expected):.3f}", said)))
        return "\n".join(lines)

    def _ours(self) -> str:
        lines = ["### What ours said", ""]
        small = (f"ours, {self.plan.read_off}", self.small["ours"])
        for arm, found in (*((a, self.whole[a]) for a in ("ours", "ours-text") if a in self.whole), small):
            lines += [f"- {arm}, data seed {one['seed']}: **{one['outcome']}** — {one['reason']}" for one in found]
        return "\n".join(lines)

    def _curve(self) -> str:
        best, budget = self._best_rival(self.plan.budget), self.plan.budget
        target = outcome(self.bench, self.whole[best], budget, CURVE_ITEMS).accuracy
        needed = calls_to_reach(self.curves["ours"], target)
        heading = f"### Anytime (first {CURVE_ITEMS} test items of each data seed)"
        lines = [heading, "", _row(("arm", *map(str, self.plan.curve))), "|---" * (len(self.plan.curve) + 1) + "|"]
        lines += [_row((arm, *(f"{score:.3f}" for _, score in points))) for arm, points in self.curves.items()]
        said = f"{best}'s accuracy after {budget} calls, {target:.3f} on these items, is reached by ours first at"
        return "\n".join([*lines, "", f"{said} {needed} calls." if needed else f"{said} no point."])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _costs(found: Sequence[Found]) -> tuple[str, ...]:
    """Means of one arm; ``not recorded``: the share of calls that the model really had to answer."""
    meters = [one["meter"] for one in found]
    task, proposer = (
        fmean(one["purposes"].get(name, {}).get("calls", 0) for one in meters) for name in ("task", "proposer")
    )
    fresh = 1.0 - sum(one["cached"] for one in meters) / max(1, sum(one["calls"] for one in meters))
    prompt, written = (fmean(one[name] for one in meters) for name in ("prompt_tokens", "completion_tokens"))
    wall, characters = fmean(one["wall_s"] for one in found), fmean(len(one["package"]["prompt"]) for one in found)
    ended = ", ".join(sorted({one["ended"] for one in found}))
    return (f"{task:.0f}", f"{proposer:.0f}", f"{prompt:,.0f}", f"{written:,.0f}", f"{wall:.0f}", f"{100 * fresh:.0f} %",
            f"{characters:.0f}", ended)  # fmt: skip


def _gain(one: Outcome, other: Outcome) -> str:
    if one.arm == other.arm:
        return "—"
    rows = differences(one, other)
    low, high = interval(rows)
    return f"{100 * fmean(map(fmean, rows)):+.1f} ({100 * low:+.1f} … {100 * high:+.1f})"
