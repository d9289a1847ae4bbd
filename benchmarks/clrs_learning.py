"""How well does the loop learn from real feedback, and how fast? Prequential: every event is scored before it is learnt.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs_learning [events]

Three streams, the first two from Sentiment140 (20,000 tweets shuffled with seed 0; class and date are confounded in that file):
``right/wrong``: each tweet with a label, which is the right one half of the time, score 1 or 0; ``polarity``: one constant
output, score 1 for a positive tweet; ``ru-en``: MLQE-PE translations, the first rater's score taught, the mean of the two others
judged. The block lengths and the rate of the text model were chosen on these very files: read the figures as in-sample.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from meta_learning.clrs import ClosedLoopSystem, OnlineTextModel
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.events import CycleCompleted

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data"))
Stream = tuple[list[Pair], Floats, Floats]


def tweets(events: int) -> list[tuple[str, bool]]:
    with (DATA / "sentiment140_train_20k_head_tail.csv").open(encoding="latin-1", newline="") as file:
        rows = list(csv.reader(file))
    random.Random(0).shuffle(rows)
    return [(row[5], row[0] == "4") for row in rows[:events]]


def right_or_wrong(events: int) -> Stream:
    draws, pairs, scores = random.Random(1), list[Pair](), list[float]()
    for text, liked in tweets(events):
        right = draws.random() < 0.5
        pairs.append((text, "positive" if liked == right else "negative"))
        scores.append(float(right))
    return pairs, np.array(scores), np.array(scores)


def polarity(events: int) -> Stream:
    rows = tweets(events)
    scores = np.array([float(liked) for _, liked in rows])
    return [(text, "sentiment") for text, _ in rows], scores, scores


def translations(events: int) -> Stream:
    pairs, scores = list[Pair](), list[list[float]]()
    with gzip.open(DATA / "mlqe_pe_ru-en_train.tsv.gz", "rt", encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    random.Random(0).shuffle(rows)
    for row in rows[:events]:
        pairs.append((row[1], row[2]))
        scores.append(json.loads(row[3]))
    judged = np.array(scores) / 100
    return pairs, judged[:, 0], judged[:, 1:].mean(axis=1)


def bare(pairs: list[Pair], scores: Floats) -> tuple[Floats, float]:
    model, found, start = OnlineTextModel(), [], time.process_time()
    for first in range(0, len(pairs), 100):
        part = slice(first, first + 100)
        found.append(model.predict(pairs[part]))
        model.learn(pairs[part], scores[part])
    return np.concatenate(found), time.process_time() - start


def closed(pairs: list[Pair], scores: Floats) -> tuple[Floats, float, list[CycleCompleted], ClosedLoopSystem]:
    system, cycles, start = ClosedLoopSystem(), list[CycleCompleted](), time.process_time()
    for (asked, answered), score in zip(pairs, scores, strict=True):
        cycle = system.collect_feedback(asked, answered, float(score))
        if cycle is not None:
            cycles.append(cycle)
    spent = time.process_time() - start
    found = [cycle.predictions or (cycle.numbers["constant"] or 0.0,) * cycle.events_count for cycle in cycles]
    return np.concatenate([np.array(part) for part in found]), spent, cycles, system


def line(name: str, found: Floats, true: Floats, spent: float) -> None:
    half = len(found) // 2
    right = (found >= 0.5) == (true[: len(found)] >= 0.5)
    ranked = ordered(found, true[: len(found)])
    brier = float(((found - true[: len(found)]) ** 2).mean())
    figures = (
        f"accuracy {right.mean():.4f}  2nd half {right[half:].mean():.4f}  concordance {ranked:.4f}  Brier {brier:.4f}"
    )
    print(f"  {name:22s}{figures}  {len(found) / spent:7.0f} events/CPU-s")


def ordered(found: Floats, true: Floats) -> float:
    """Concordance over all pairs of the stream, a block of rows at a time."""
    agreed = pairs = 0.0
    for first in range(0, len(found), 250):
        part = slice(first, first + 250)
        order = np.sign(true[part, None] - true[None, :])
        guess = np.sign(found[part, None] - found[None, :])
        differ = order != 0
        agreed += float((differ * (order * guess + 1.0) / 2.0).sum())
        pairs += float(differ.sum())
    return agreed / pairs


def report(name: str, stream: Stream) -> None:
    pairs, scores, judged = stream
    print(f"{name}: {len(pairs)} events")
    running = np.concatenate([[0.5], np.cumsum(scores)[:-1] / np.arange(1, len(scores))])
    line("floor: running mean", running, judged, 1e9)
    line("bare text model", *_with(judged, bare(pairs, scores)))
    found, spent, cycles, system = closed(pairs, scores)
    line("closed loop, champion", found, judged, spent)
    first = next((cycle.cycle for cycle in cycles if cycle.decision == "promoted"), None)
    sizes = sorted(len(blob) for blob in system.snapshot().blobs.values())
    print(
        f"  decisions {dict(Counter(cycle.decision for cycle in cycles))}, first promoted in cycle {first}; blobs {sizes} bytes"
    )
    summary = system.get_system_summary()
    for score in ("drift", "alignment", "coherence"):
        print(f"  {score}: " + ", ".join(f"{key} {summary[score][key]}" for key in ("current", "low", "high", "n")))


def _with(judged: Floats, ran: tuple[Floats, float]) -> tuple[Floats, Floats, float]:
    return ran[0], judged, ran[1]


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    report("right/wrong", right_or_wrong(events))
    report("polarity", polarity(events))
    report("ru-en", translations(events))


if __name__ == "__main__":
    main()
