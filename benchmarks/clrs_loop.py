"""How does a whole loop behave over its cycles? `ClosedLoopSystem`, gates on, over real streams in which something happens.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs_loop [--events 20000] [--seeds 3] [--worlds steady …]
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
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from benchmarks.clrs_learning import DATA, tweets
from meta_learning.clrs import ClosedLoopSystem, OnlineTextModel
from meta_learning.clrs.asking import Asker
from meta_learning.clrs.models.port import Floats

CYCLE, USERS, SMS_SHARE, MALICIOUS = 100, 50, 0.3, 0.3
ASKED, RANDOM = ("asked-10", "asked-20", "asked-50"), ("random-10",)
WORLDS = ("steady", "reversal", "sms", "malicious", *ASKED, *RANDOM, "acting")
LABELS = ("negative", "positive")


class Row(NamedTuple):
    """One interaction: what the user would say, and what is true."""

    text: str
    said: float
    true: float
    user: str


def rows_of(world: str, seed: int, events: int) -> list[Row]:
    stream, draws = tweets(seed, events), random.Random(f"{world}-{seed}")
    messages = sms(seed)
    rows, middle = list[Row](), len(stream.pairs) // 2
    for at, ((text, _), true) in enumerate(zip(stream.pairs, stream.taught.tolist(), strict=True)):
        user, late = draws.randrange(USERS), at >= middle
        if world == "reversal" and late:
            true = 1.0 - true
        if world == "sms" and late and draws.random() < SMS_SHARE:
            text, true = messages[at % len(messages)]
        lies = world == "malicious" and user < MALICIOUS * USERS
        rows.append(Row(text, 1.0 - true if lies else true, true, f"u{user}"))
    return rows


def sms(seed: int) -> list[tuple[str, float]]:
    with (DATA / "sms_spam_collection.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    random.Random(seed).shuffle(rows)
    return [(row[1], float(row[0] != "spam")) for row in rows]


def run(world: str, seed: int, events: int) -> dict[str, Any]:
    """One loop over one stream: a line for each cycle, and what was right."""
    rows, system = rows_of(world, seed, events), ClosedLoopSystem(seed=seed)
    share = int(world.partition("-")[2] or 100)
    system.asker, coin = Asker(float(share)), random.Random(seed)
    found, true, labelled = list[float](), list[float](), list[int]()
    cycles, alarms = list[dict[str, Any]](), list[dict[str, Any]]()
    for at, row in enumerate(rows):
        answer, said, truth, propensity = "sentiment", row.said, row.true, 1.0
        if world == "acting":
            choice = system.act(row.text, LABELS, unit=str(at))
            answer, propensity = choice.output_text, choice.propensity
            said = truth = float((answer == "positive") == (row.true > 0.5))
        found.append(system.score(row.text, answer))
        true.append(truth)
        if world in RANDOM and coin.random() >= share / 100:
            continue
        if world in ASKED:
            asked = system.should_ask(row.text, answer, unit=str(at))
            if not asked.ask:
                continue
            propensity = asked.propensity
        labelled.append(at)
        if system.collect_feedback(row.text, answer, said, user_id=row.user, propensity=propensity) is not None:
            cycles.append(cycle_line(system, at + 1, sum(len(one["alarms"]) for one in cycles)))
            alarms += cycles[-1]["alarms"]
    return {
        "world": world,
        "seed": seed,
        "events": len(rows),
        "labels": system.get_system_summary()["counts"]["accepted"],
        "figures": figures(world, np.array(found), np.array(true), cycles, alarms)
        | aligned(np.array(found), np.array(true), labelled, cycles[-1]),
        "right": hundreds(np.array(true) if world == "acting" else correct(np.array(found), np.array(true))),
        "bare": None if world == "acting" else tenths(correct(bare(rows), np.array(true))),
        "cycles": cycles,
    }


def cycle_line(system: ClosedLoopSystem, interactions: int, alarms_before: int) -> dict[str, Any]:
    """What the loop says of itself after a cycle."""
    said = system.get_system_summary()
    drift, alignment, coherence = said["drift"], said["alignment"], said["coherence"]
    fresh = drift["raised"][len(drift["raised"]) - (drift["alarms"] - alarms_before) :]
    kept = ("kind", "event", "since", "score", "words", "cause")
    return {
        "cycle": said["cycles"],
        "interactions": interactions,
        "drift": drift["current"],
        "set_by": drift["set_by"],
        "kinds": drift["kinds"],
        "cause": drift["cause"]["cause"],
        "alarms": [{name: alarm[name] for name in kept} | {"interactions": interactions} for alarm in fresh],
        "alignment": [alignment[name] for name in ("current", "low", "high")],
        "alignment_n": alignment["n"],
        "state": alignment["state"],
        "coherence": [coherence[name] for name in ("current", "low", "high")],
        "neighbours": coherence["neighbours"],
        "perturbations": coherence["perturbations"],
        "negative_flip_rate": coherence["negative_flip_rate"],
        "diversity": coherence["diversity"],
        "patterns": [found["name"] for found in said["patterns"]["active"]],
        "decision": said["history"][-1]["decision"],
        "reasons": said["history"][-1]["reasons"],
        "distrusted": said["counts"].get("distrusted", 0),
    }


def bare(rows: list[Row]) -> Floats:
    """The ceiling: the learner alone, which is told the truth about everything."""
    model, found = OnlineTextModel(), list[Floats]()
    for first in range(0, len(rows), CYCLE):
        part = rows[first : first + CYCLE]
        pairs = [(row.text, "sentiment") for row in part]
        found.append(model.predict(pairs))
        model.learn(pairs, np.array([row.true for row in part]))
    return np.concatenate(found)


def figures(
    world: str, found: Floats, true: Floats, cycles: list[dict[str, Any]], alarms: list[dict[str, Any]]
) -> dict[str, Any]:
    """The numbers of one run that the table is made of."""
    right = true if world == "acting" else correct(found, true)
    middle, last = len(true) // 2, cycles[-1]
    early = [one for one in alarms if one["interactions"] <= middle]
    late = [one for one in alarms if one["interactions"] > middle]
    quarter = slice(3 * len(true) // 4, None)
    return {
        "accuracy": tenths(right),
        "accuracy_end": float(right[quarter].mean()),
        "constant_end": max(float(true[quarter].mean()), 1 - float(true[quarter].mean())),
        "alignment_quarter": concordance(found[quarter], true[quarter]),
        "alarms_early": len(early),
        "alarms_late": len(late),
        "delay": late[0]["interactions"] - middle if late else None,
        "alarmed": sorted({one["kind"] for one in late}),
        "behaviour_median": median([one["kinds"]["behaviour"] for one in cycles]),
        "behaviour_max": max([one["kinds"]["behaviour"] or 0.0 for one in cycles]),
        "coherence_end": last["coherence"][0],
        "diversity_end": last["diversity"]["vendi"],
        "promoted": sum(one["decision"] == "promoted" for one in cycles) / len(cycles),
        "patterns": {name: first_seen(cycles, name) for name in sorted({n for one in cycles for n in one["patterns"]})},
    }


def aligned(found: Floats, true: Floats, labelled: list[int], last: dict[str, Any]) -> dict[str, Any]:
    """What the loop said of its alignment at the end, and what it was over the same interactions."""
    pending = len(labelled) % CYCLE
    since = labelled[max(len(labelled) - pending - last["alignment_n"], 0)]
    truth = concordance(found[since:], true[since:])
    end, low, high = last["alignment"]
    within = None if low is None or high is None else float(low <= truth <= high)
    return {
        "alignment_end": end,
        "alignment_true": truth,
        "alignment_within": within,
        "alignment_n": last["alignment_n"],
    }


def hundreds(right: Floats) -> list[float]:
    rows = right[: len(right) // CYCLE * CYCLE].reshape(-1, CYCLE)
    return [round(float(row.mean()), 4) for row in rows]


def correct(found: Floats, true: Floats) -> Floats:
    return np.asarray((found >= 0.5) == (true >= 0.5), dtype=np.float64)


def tenths(right: Floats) -> list[float]:
    return [round(float(part.mean()), 4) for part in np.array_split(right, 10)]


def median(numbers: list[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return float(np.median(known)) if known else None


def first_seen(cycles: list[dict[str, Any]], name: str) -> int:
    return int(next(one["cycle"] for one in cycles if name in one["patterns"]))


def concordance(found: Floats, true: Floats) -> float:
    """Chance-corrected: 2 * AUC - 1 (Mann & Whitney)."""
    ranks, liked = stats.rankdata(found), true > 0.5
    count = int(liked.sum())
    area = (ranks[liked].sum() - count * (count + 1) / 2) / max(count * (len(true) - count), 1)
    return float(2 * area - 1)


def estimate(numbers: list[float | None]) -> dict[str, Any]:
    """Mean over seeds with Student's 95 % half-width."""
    known = np.array([number for number in numbers if number is not None], dtype=np.float64)
    if not len(known):
        return {"mean": None, "half_width": None, "seeds": numbers}
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / len(known) ** 0.5) if len(known) > 1 else None
    rounded = [None if number is None else round(number, 4) for number in numbers]
    return {"mean": round(float(known.mean()), 4), "half_width": half and round(half, 4), "seeds": rounded}


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
        from benchmarks.clrs_loop_figures import draw

        draw(asked.figures, summaries, first)


if __name__ == "__main__":
    main()
