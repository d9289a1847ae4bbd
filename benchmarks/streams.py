"""Streams of real feedback that several benchmarks share, and the line of figures that they print of a stream.

``right/wrong``: tweets of Sentiment140, each with a label which is right one half of the time, score 1 or 0;
``polarity``: one constant
output, score 1 for a positive tweet; ``ru-en``: MLQE-PE translations, the first rater's score taught, the mean of the others judged.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
from pathlib import Path

import numpy as np

from meta_learning.clrs.models.port import Floats, Pair

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
