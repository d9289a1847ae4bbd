"""How well does the loop learn from real feedback? Prequential: every event is scored before it is learnt.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.learning [seeds] [--events 20000] [--first 0] [--results FILE]

Streams: ``polarity``, 20,000 tweets of Sentiment140 (class and date are confounded in that file); ``sms``, 5,574 messages, spam or
not; ``ru-en``, MLQE-PE translations, the first rater's score taught, the mean of the two others judged. All settings were frozen on
the shuffle of seed 0 (polarity and ru-en): read seed 0 as in-sample, the others as reports. Every shuffle is numpy's.

"each" updates after every event, as Vowpal Wabbit and River do; "100" predicts a block of 100 and then learns it, as the closed loop
does. The interval is a paired bootstrap over items (2,000 draws) of our accuracy or concordance minus that of the best line. At the
end: the mean of that difference over the seeds with Student's interval, also over those that ``--results`` holds from earlier pieces.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier

from benchmarks.peers import ask
from meta_learning.clrs import ClosedLoopSystem, OnlineTextModel
from meta_learning.clrs.models.port import Floats, Pair
from meta_learning.events import CycleCompleted

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data"))
BLOCK = 100
LINES = {
    "vw w2 -l1": {"options": "--ngram w2 -b 22 -l 1", "chars": False},
    "vw w2+char": {"options": "--ngram w2 -b 22", "chars": True},
    "vw w2+char -l1": {"options": "--ngram w2 -b 22 -l 1", "chars": True},
    "vw defaults": {"options": "-b 18", "chars": False},
}


class Stream(NamedTuple):
    """A stream of feedback: what is taught, and what the scores are judged against."""

    name: str
    pairs: list[Pair]
    fields: list[list[str]]  # what the peers read: the texts that differ
    taught: Floats
    judged: Floats

    @property
    def graded(self) -> bool:
        """Scores between 0 and 1, judged by concordance."""
        return bool(((self.taught > 0) & (self.taught < 1)).any())


def tweets(seed: int, events: int) -> Stream:
    with (DATA / "sentiment140_train_20k_head_tail.csv").open(encoding="latin-1", newline="") as file:
        rows = list(csv.reader(file))
    chosen = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))[:events]]
    scores = np.array([float(row[0] == "4") for row in chosen])
    return Stream("polarity", [(row[5], "sentiment") for row in chosen], [[row[5]] for row in chosen], scores, scores)


def messages(seed: int, events: int) -> Stream:
    lines = (DATA / "sms_spam_collection.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t", 1) for line in lines]
    chosen = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))[:events]]
    scores = np.array([float(row[0] == "spam") for row in chosen])
    return Stream("sms", [(row[1], "kind") for row in chosen], [[row[1]] for row in chosen], scores, scores)


def translations(seed: int, events: int) -> Stream:
    with gzip.open(DATA / "mlqe_pe_ru-en_train.tsv.gz", "rt", encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    chosen = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))[:events]]
    scores = np.array([json.loads(row[3]) for row in chosen]) / 100
    pairs = [(row[1], row[2]) for row in chosen]
    return Stream("ru-en", pairs, [list(pair) for pair in pairs], scores[:, 0], scores[:, 1:].mean(axis=1))


def bare(stream: Stream, block: int) -> Floats:
    model, found = OnlineTextModel(), []
    for first in range(0, len(stream.pairs), block):
        part = slice(first, first + block)
        found.append(model.predict(stream.pairs[part]))
        model.learn(stream.pairs[part], stream.taught[part])
    return np.concatenate(found)


def gated(stream: Stream) -> tuple[Floats, str]:
    """What users get: the champion's score, asked through `ClosedLoopSystem.score` before each cycle."""
    system, cycles, found = ClosedLoopSystem(cycle_size=BLOCK), Counter[str](), []
    for first in range(0, len(stream.pairs), BLOCK):
        part = stream.pairs[first : first + BLOCK]
        found += [system.score(asked, answered) for asked, answered in part]
        for (asked, answered), score in zip(part, stream.taught[first : first + BLOCK], strict=True):
            cycle = system.collect_feedback(asked, answered, float(score))
            cycles[cycle.decision if isinstance(cycle, CycleCompleted) else "none"] += 1
    del cycles["none"]
    return np.array([0.5 if score is None else score for score in found]), str(dict(cycles))


def averaged_sgd(stream: Stream) -> Floats:
    """scikit-learn's averaged SGD on the same kinds of n-grams, in blocks."""
    rows, found = hashed(stream), []
    model = SGDClassifier(loss="log_loss", alpha=1e-5, average=True, random_state=0)
    for first in range(0, rows.shape[0], BLOCK):
        part = slice(first, first + BLOCK)
        found.append(model.predict_proba(rows[part])[:, 1] if first else np.full(BLOCK, 0.5))
        model.partial_fit(rows[part], stream.taught[part] > 0.5, classes=np.array([False, True]))
    return np.concatenate(found)


def refitted(stream: Stream) -> Floats:
    """The ceiling: a batch logistic regression fitted anew four times on all history; 0.5 before the first fit."""
    rows, found = hashed(stream), np.full(len(stream.pairs), 0.5)
    for number in range(1, 5):
        first, last = len(found) * number // 5, len(found) * (number + 1) // 5
        model = LogisticRegression(C=10.0, max_iter=200).fit(rows[:first], stream.taught[:first] > 0.5)
        found[first:last] = model.predict_proba(rows[first:last])[:, 1]
    return found


def hashed(stream: Stream) -> Any:
    texts = [" ".join(fields) for fields in stream.fields]
    words = HashingVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), alternate_sign=False)
    chars = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), alternate_sign=False)
    return words.transform(texts) + chars.transform(texts)


def majority(stream: Stream) -> Floats:
    sums = np.concatenate([[0.5], np.cumsum(stream.taught)[:-1]])
    return np.asarray(sums / np.maximum(np.arange(len(stream.taught)), 1.0), dtype=np.float64)


def peers(stream: Stream) -> tuple[dict[str, Floats], list[str]]:
    asked = {"texts": stream.fields, "labels": stream.taught.tolist()}
    vowpal = ask("vowpal_wabbit", "vowpal_online.py", asked | {"lines": LINES})
    found = {name: squashed(np.array(line["logits"])) for name, line in vowpal["lines"].items()}
    best = list(found)
    if not stream.graded:
        found["river NB bigrams"] = np.array(ask("river", "river_online.py", asked)["probabilities"])
    return found, best


def squashed(logits: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -30, 30))), dtype=np.float64)


def concordance(found: Floats, true: Floats) -> float:
    """Over all pairs of items with different truth; equal scores count half."""
    agreed = pairs = 0.0
    for first in range(0, len(found), 250):
        order = np.sign(true[first : first + 250, None] - true[None, :])
        guess = np.sign(found[first : first + 250, None] - found[None, :])
        agreed += float(((order != 0) * (order * guess + 1.0) / 2.0).sum())
        pairs += float((order != 0).sum())
    return agreed / pairs


def quality(stream: Stream, found: Floats) -> float:
    if stream.graded:
        return concordance(found, stream.judged)
    return float(((found > 0.5) == (stream.judged > 0.5)).mean())


def calibration_error(found: Floats, true: Floats) -> float:
    """ECE over 15 bins of equal mass."""
    bins = np.array_split(np.argsort(found, kind="stable"), 15)
    return sum(abs(float(found[part].mean() - true[part].mean())) * len(part) for part in bins) / len(found)


def interval(stream: Stream, ours: Floats, theirs: Floats) -> tuple[float, float]:
    """Paired bootstrap over items, 95 %."""
    draws, count = np.random.default_rng(0), len(ours)
    if not stream.graded:
        gains = ((ours > 0.5) == (stream.judged > 0.5)).astype(float) - ((theirs > 0.5) == (stream.judged > 0.5))
        means = [gains[draws.integers(count, size=count)].mean() for _ in range(2000)]
    else:  # concordance costs all pairs: 200 draws of 1,500 items, scaled to the whole
        means, size = [], min(count, 1500)
        for _ in range(200):
            part = draws.integers(count, size=size)
            means.append(concordance(ours[part], stream.judged[part]) - concordance(theirs[part], stream.judged[part]))
        centre = float(np.mean(means))
        means = [centre + (value - centre) * (size / count) ** 0.5 for value in means]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def line(stream: Stream, name: str, found: Floats) -> None:
    half = len(found) // 2
    second = Stream(stream.name, [], [], stream.taught[half:], stream.judged[half:])
    cut = np.clip(found, 1e-6, 1 - 1e-6)
    loss = -float((stream.taught * np.log(cut) + (1 - stream.taught) * np.log(1 - cut)).mean())
    figures = f"{quality(stream, found):.4f}  2nd half {quality(second, found[half:]):.4f}  log loss {loss:.4f}"
    print(f"  {name:20s}{figures}  ECE {calibration_error(found, stream.taught):.4f}", flush=True)


def report(stream: Stream, seed: int) -> list[dict[str, Any]]:
    """Print the table of one stream; our lines' differences to the best line of Vowpal Wabbit."""
    kind = "concordance" if stream.graded else "accuracy"
    print(f"{stream.name}, seed {seed}, {len(stream.pairs)} events: {kind}", flush=True)
    champion, decisions = gated(stream)
    ours = {"ours, each": bare(stream, 1), "ours, 100": bare(stream, BLOCK), "ours, gated": champion}
    theirs, lines = peers(stream)
    floors = {"floor: majority": majority(stream)}
    if not stream.graded:
        floors |= {"sklearn averaged SGD": averaged_sgd(stream), "ceiling: refitted 4x": refitted(stream)}
    for name, found in (ours | theirs | floors).items():
        line(stream, name, found)
    best = max(lines, key=lambda name: quality(stream, theirs[name]))
    rows = []
    for name, found in ours.items():
        low, high = interval(stream, found, theirs[best])
        gain = quality(stream, found) - quality(stream, theirs[best])
        print(f"  {name} minus {best}: {100 * gain:+.2f} points, 95 % [{100 * low:+.2f}, {100 * high:+.2f}]")
        rows.append({"stream": stream.name, "seed": seed, "arm": name, "quality": quality(stream, found), "gain": gain})
    print(f"  gates: {decisions}", flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> None:
    """The mean over seeds of each difference, with Student's interval: shuffles of one data set, not samples of another."""
    for stream, arm in dict.fromkeys((row["stream"], row["arm"]) for row in rows):
        found = {row["seed"]: row for row in rows if (row["stream"], row["arm"]) == (stream, arm)}
        gains = 100 * np.array([row["gain"] for row in found.values()])
        half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else np.nan
        mean = np.mean([row["quality"] for row in found.values()])
        print(
            f"  {stream:9s}{arm:13s}{mean:.4f}  minus vw {gains.mean():+.2f} ± {half:.2f} points, seeds {sorted(found)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", nargs="?", type=int, default=5)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--results", type=Path)
    asked = parser.parse_args()
    streams: tuple[Callable[[int, int], Stream], ...] = (tweets, messages, translations)
    kept = asked.results.read_text().splitlines() if asked.results and asked.results.exists() else []
    rows = [json.loads(row) for row in kept]
    for seed in range(asked.first, asked.first + asked.seeds):
        for make in streams:
            rows += report(make(seed, asked.events), seed)
            if asked.results:
                asked.results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary(rows)


if __name__ == "__main__":
    main()
