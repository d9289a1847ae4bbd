"""How does a whole loop behave over its cycles? `ClosedLoopSystem`, gates on, over real streams in which something happens.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.loop [--events 20000] [--seeds 3] [--worlds steady …]
        [--results data/clrs_loop] [--summary docs/research/loop.json] [--figures docs/research] [--reuse]

Sentiment140, 50 users, cycles of 100, all settings at their defaults, shuffles with seeds from 1 on (settings were frozen on 0):

- steady: score 1 for a positive tweet, one constant output;
- reversal: the same, and from the middle on the scores are turned round;
- sms: from the middle on three in ten inputs are SMS messages (liked unless spam);
- malicious: 30 % of the users say the opposite from the first event;
- asked-10, -20, -50: feedback only where `should_ask` asks, about so many in 100; random-10: where a coin asks;
- acting: the loop chooses between "positive" and "negative" (`act`) and hears whether that was right.

Judged are all interactions, asked about or not, rated honestly or not, by the champion's score before anything was learnt of
them. ``true``: 2 * concordance - 1 of those scores with the truth, over the interactions that the loop's own last figure
covers (the ones since the first label in its window), so that both speak of the same champions; and over the last quarter.
Floor: a constant, and a dummy that alarms every 5,000 events. Ceiling: the learner without gates that sees all true scores.
Each run is one JSON with a line a cycle under ``--results``; ``--reuse`` takes those that are there.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clrs.learning import DATA, tweets
from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.models.port import Floats
from meta_learning.experiments.loops import Interaction, follow
from meta_learning.experiments.loops.following import Way, ceiling
from meta_learning.experiments.loops.measures import correct, measured, tenths
from meta_learning.experiments.loops.report import estimate

CYCLE, USERS, SMS_SHARE, MALICIOUS = 100, 50, 0.3, 0.3
ASKED, RANDOM = ("asked-10", "asked-20", "asked-50"), ("random-10",)
WORLDS = ("steady", "reversal", "sms", "malicious", *ASKED, *RANDOM, "acting")
LABELS = ("negative", "positive")


def rows_of(world: str, seed: int, events: int) -> list[Interaction]:
    stream, draws = tweets(seed, events), random.Random(f"{world}-{seed}")
    messages = sms(seed)
    rows, middle = list[Interaction](), len(stream.pairs) // 2
    for at, ((text, _), true) in enumerate(zip(stream.pairs, stream.taught.tolist(), strict=True)):
        user, late = draws.randrange(USERS), at >= middle
        if world == "reversal" and late:
            true = 1.0 - true
        if world == "sms" and late and draws.random() < SMS_SHARE:
            text, true = messages[at % len(messages)]
        lies = world == "malicious" and user < MALICIOUS * USERS
        rows.append(Interaction(text, LABELS[int(true)], f"u{user}", "opposite" if lies else "honest"))
    return rows


def sms(seed: int) -> list[tuple[str, float]]:
    with (DATA / "sms_spam_collection.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    random.Random(seed).shuffle(rows)
    return [(row[1], float(row[0] != "spam")) for row in rows]


def run(world: str, seed: int, events: int) -> dict[str, Any]:
    """One loop over one stream: a line for each cycle, and what was right."""
    rows, system, acting = rows_of(world, seed, events), ClosedLoopSystem(seed=seed), world == "acting"
    share = float(world.partition("-")[2] or 100)
    way = Way(LABELS[1], LABELS if acting else (), "sentiment", share, by_chance=world in RANDOM)
    told = follow(system, rows, way, seed)
    satisfied = np.array(told.satisfied)
    return {
        "world": world,
        "seed": seed,
        "events": len(rows),
        "labels": len(told.labelled),
        "figures": measured(told, acting, CYCLE),
        "right": hundreds(satisfied if acting else correct(np.array(told.expected), satisfied)),
        "bare": None if acting else tenths(correct(ceiling(rows, way), satisfied)),
        "cycles": told.cycles,
    }


def hundreds(right: Floats) -> list[float]:
    rows = right[: len(right) // CYCLE * CYCLE].reshape(-1, CYCLE)
    return [round(float(row.mean()), 4) for row in rows]


def summary_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the runs of one world: every number with its interval over the seeds."""
    told = [one["figures"] for one in runs]
    single = [name for name, value in told[0].items() if not isinstance(value, list | dict)]
    return {
        "seeds": [one["seed"] for one in runs],
        "events": runs[0]["events"],
        "labels_percent": round(100 * float(np.mean([one["labels"] / one["events"] for one in runs])), 1),
        **{name: estimate([one[name] for one in told]) for name in single},
        "accuracy_tenths": np.mean([one["accuracy"] for one in told], axis=0).round(4).tolist(),
        "bare_tenths": None
        if runs[0]["bare"] is None
        else np.mean([one["bare"] for one in runs], axis=0).round(4).tolist(),
        "alarmed": [one["alarmed"] for one in told],
        "patterns": [one["patterns"] for one in told],
    }


COLUMNS = {
    "accuracy_end": "accuracy",
    "alignment_end": "alignment, said",
    "alignment_true": "true",
    "alignment_quarter": "true, last quarter",
    "alarms_early": "alarms, 1st half",
    "alarms_late": "2nd half",
    "delay": "events to the first",
    "behaviour_median": "behaviour",
    "coherence_end": "coherence",
    "promoted": "promoted",
}


def told(point: dict[str, Any]) -> str:
    if point["mean"] is None:
        return "–"
    digits = 0 if abs(point["mean"]) >= 10 else 3
    return f"{point['mean']:.{digits}f}" + (
        f" ± {point['half_width']:.{digits}f}" if point["half_width"] is not None else ""
    )


def table(summaries: dict[str, Any]) -> None:
    print("world | labels % | " + " | ".join(COLUMNS.values()) + " | ceiling | patterns")
    for world, found in summaries.items():
        cells = [told(found[name]) for name in COLUMNS]
        ceiling = "–" if found["bare_tenths"] is None else f"{np.mean(found['bare_tenths'][-3:]):.3f}"
        print(f"{world} | {found['labels_percent']} | {' | '.join(cells)} | {ceiling} | {found['patterns']}")
    print(
        "floor: a constant has .50 and alignment 0; a dummy that alarms every 5,000 events: 2 false alarms, at most 5,000 late"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=WORLDS)
    parser.add_argument("--results", type=Path, default=Path("data/clrs_loop"))
    parser.add_argument("--summary", type=Path)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--reuse", action="store_true")
    asked = parser.parse_args()
    asked.results.mkdir(parents=True, exist_ok=True)
    summaries, first = dict[str, Any](), dict[str, Any]()
    for world in asked.worlds:
        runs = []
        for seed in range(1, asked.seeds + 1):
            path = asked.results / f"{world}-{seed}.json"
            if not (asked.reuse and path.exists()):
                path.write_text(json.dumps(run(world, seed, asked.events)) + "\n", encoding="utf-8")
            runs.append(json.loads(path.read_text(encoding="utf-8")))
        summaries[world], first[world] = summary_of(runs), runs[0]
    table(summaries)
    if asked.summary:
        asked.summary.write_text(json.dumps(summaries, indent=1) + "\n", encoding="utf-8")
    if asked.figures:
        from benchmarks.clrs.loop_figures import draw

        draw(asked.figures, summaries, first)


if __name__ == "__main__":
    main()
