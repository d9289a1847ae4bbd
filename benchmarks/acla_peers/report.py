"""The tables of a finished comparison, as markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.acla_peers.arms import Cell
from benchmarks.acla_peers.cells import Bench, by_label
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
from benchmarks.acla_peers.settings import BUDGET, CURVE, CURVE_ITEMS, READ_OFF, RIVALS, SMALL
from meta_learning.acla.statistics import holm
from meta_learning.utils import MetaLearningVisualizer

Found = dict[str, Any]


class Report:
    """Everything about one task: read from the kept cells, never asked again."""

    def __init__(self, bench: Bench, wanted: Sequence[Cell]) -> None:
        self.bench, self.task = bench, wanted[0].task
        self.seeds = sorted({cell.seed for cell in wanted})
        self.whole: dict[str, list[Found]] = {}
        self.small: dict[str, list[Found]] = {}
        for cell in wanted:
            found = json.loads(bench.file(cell).read_text())
            (self.whole if cell.budget == BUDGET else self.small).setdefault(cell.arm, []).append(found)
        self.at = {BUDGET: self._outcomes(BUDGET), READ_OFF: self._outcomes(READ_OFF)}
        self.curves = {arm: curve(bench, self.whole[arm]) for arm in self.whole if arm not in ("seed", "mipro")}

    def text(self) -> str:
        """All tables."""
        parts = [
            self._accuracy(BUDGET),
            self._accuracy(READ_OFF),
            self._by_label(),
            self._cost(),
            self._behaviour(),
            self._ours(),
            self._curve(),
        ]
        return "\n\n".join(parts)

    def figure(self, folder: Path) -> list[Path]:
        """The anytime curves."""
        histories = {
            arm: [{"iteration": index, "calls": calls, "score": score} for index, (calls, score) in enumerate(points)]
            for arm, points in self.curves.items()
        }
        return MetaLearningVisualizer(folder).plot_anytime(histories, save_name=f"anytime-{self.task}")

    def _outcomes(self, budget: int) -> dict[str, Outcome]:
        found = {
            arm: outcome(self.bench, rows, budget)
            for arm, rows in self.whole.items()
            if arm not in SMALL or budget == BUDGET
        }
        if budget == READ_OFF:
            found["mipro"] = outcome(self.bench, self.small["mipro"], budget)
            found["ours"] = outcome(self.bench, self.whole["ours"], budget)
            found["ours, whole run"] = outcome(self.bench, self.small["ours"], budget)
        if budget == BUDGET:
            read = [row | {"package": by_label(row["package"]), "arm": "seed by label"} for row in self.whole["seed"]]
            found["seed by label"] = outcome(self.bench, read, budget)
        return found

    def _best_rival(self, budget: int) -> str:
        return max((arm for arm in RIVALS if arm in self.at[budget]), key=lambda arm: self.at[budget][arm].accuracy)

    def _accuracy(self, budget: int) -> str:
        found, best = self.at[budget], self._best_rival(budget)
        columns = (
            "arm",
            "accuracy",
            "− seed prompt",
            f"− {best} (best rival)",
            "below seed",
            "optimism",
            "by data seed",
        )
        lines = [
            f"### {budget} calls ({len(self.seeds)} data seeds × {len(found['seed'].rights[0])} held-out items)",
            "",
        ]
        lines += [_row(columns), "|---" * len(columns) + "|"]
        for arm, one in sorted(found.items(), key=lambda pair: -pair[1].accuracy):
            optimism = "—" if one.optimism is None else f"{100 * one.optimism:+.1f}"
            row = (
                arm, f"{one.accuracy:.3f}", _gain(one, found["seed"]), _gain(one, found[best]),
                f"{one.below(found['seed'])}/{len(one.rights)}", optimism, " ".join(f"{fmean(r):.3f}" for r in one.rights),
            )  # fmt: skip
            lines.append(_row(row))
        others = [arm for arm in ("seed", *RIVALS, "ours-text") if arm in found]
        values = [mcnemar(found["ours"], found[arm]) for arm in others]
        said = ", ".join(f"{arm} {p:.2g}" for arm, p in zip(others, holm(values), strict=True))
        return "\n".join(
            [*lines, "", f"Ours against each, exact McNemar over all pairs, Holm over {len(others)}: {said}."]
        )

    def _by_label(self) -> str:
        """Every arm's final prompt read as the most probable label, where those answers were asked for (``--by-label``)."""
        lines = [
            f"### The prompts of {BUDGET} calls, all read as the most probable label",
            "",
            _row(("arm", "accuracy", "− seed by label")),
        ]
        lines.append("|---|---|---|")
        seed = self.at[BUDGET]["seed by label"]
        for arm, rows in self.whole.items():
            read = [row | {"package": by_label(row["package"]), "arm": f"{arm} by label"} for row in rows]
            try:
                one = outcome(self.bench, read, BUDGET)
            except LookupError:
                continue
            lines.append(_row((arm, f"{one.accuracy:.3f}", _gain(one, seed))))
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
        lines += [_row((f"{arm}, {READ_OFF}", *_costs(found))) for arm, found in self.small.items()]
        overhead = fmean(1000 * one["cpu_s"] / max(1, one["meter"]["calls"]) for one in self.whole["ours"])
        said = f"Ours outside the model, with the SDK and its HTTP client: {overhead:.1f} ms of CPU a call."
        return "\n".join([*lines, "", said])

    def _behaviour(self) -> str:
        expected = [[label for _, label in self.bench.items(self.task, seed).test] for seed in self.seeds]
        lines = ["### How it answers after 1,000 calls", "", "| arm | macro-F1 | labels said |", "|---|---|---|"]
        for arm, one in self.at[BUDGET].items():
            said = ", ".join(f"{label} {100 * share:.1f} %" for label, share in shares(one).items())
            lines.append(_row((arm, f"{macro_f1(one, expected):.3f}", said)))
        return "\n".join(lines)

    def _ours(self) -> str:
        lines = ["### What ours said", ""]
        for arm, found in (*((a, self.whole[a]) for a in ("ours", "ours-text")), ("ours, 300", self.small["ours"])):
            lines += [f"- {arm}, data seed {one['seed']}: **{one['outcome']}** — {one['reason']}" for one in found]
        return "\n".join(lines)

    def _curve(self) -> str:
        best = self._best_rival(BUDGET)
        target = outcome(self.bench, self.whole[best], BUDGET, CURVE_ITEMS).accuracy
        needed = calls_to_reach(self.curves["ours"], target)
        lines = [f"### Anytime (first {CURVE_ITEMS} test items of each data seed)", "", _row(("arm", *map(str, CURVE)))]
        lines.append("|---" * (len(CURVE) + 1) + "|")
        lines += [_row((arm, *(f"{score:.3f}" for _, score in points))) for arm, points in self.curves.items()]
        said = f"{best}'s accuracy after {BUDGET} calls, {target:.3f} on these items, is reached by ours first at"
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
    wall, characters = fmean(one["wall_s"] for one in found), fmean(len(one["package"]["system"]) for one in found)
    ended = ", ".join(sorted({one["ended"] for one in found}))
    return (f"{task:.0f}", f"{proposer:.0f}", f"{prompt:,.0f}", f"{written:,.0f}", f"{wall:.0f}", f"{100 * fresh:.0f} %",
            f"{characters:.0f}", ended)  # fmt: skip


def _gain(one: Outcome, other: Outcome) -> str:
    if one.arm == other.arm:
        return "—"
    rows = differences(one, other)
    low, high = interval(rows)
    return f"{100 * fmean(map(fmean, rows)):+.1f} ({100 * low:+.1f} … {100 * high:+.1f})"
