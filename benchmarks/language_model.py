"""What does fine-tuning a small language model on feedback bring, beside the frozen one and the text model?

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.language_model run FOLDER [text|frozen|lora] [shuffle seed] [events]
    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.language_model report FOLDER

Needs the extra ``torch`` and the packaged SmolLM2-135M (CPU). Stream ``right/wrong`` of `benchmarks.streams`: a tweet of
Sentiment140 and a label that is right half of the time, liked if it is. All models see the same events, in cycles of 50, each
predicted before it is learnt (prequential); after 0, 250, 500, 1,000 and 2,000 events they judge 400 held-out tweets, each
with one label, and rank both labels of each. ``frozen`` never trains its adapter: only the calibration of the bare base learns.

`run` saves model and figures in FOLDER after every checkpoint, and stops there when ``PIECE_SECONDS`` are over (0: never); the same
command goes on. The instruction and the settings of training were chosen on shuffle 0; `report` takes the others.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import streams
from meta_learning.clrs.models.language.adapter_trainer import TrainingSettings
from meta_learning.clrs.models.language.language_model import LanguageModel, LanguageSettings
from meta_learning.clrs.models.language.low_rank import AdapterShape
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.models.text_model import OnlineTextModel

CYCLE, HELD_OUT = 50, 400
CHECKPOINTS = (0, 250, 500, 1000, 2000)
INSTRUCTION = "Tweet: {input}\nSentiment:"
LABELS = ("positive", "negative")
LORA = TrainingSettings(AdapterShape(layers_count=10))
FROZEN = TrainingSettings(LORA.shape, passes_count=0)


def stream(events: int, seed: int) -> tuple[list[Pair], Floats]:
    """``right/wrong`` on a shuffle of its own."""
    return _pairs(_shuffled(seed)[:events], seed + 1)


def _shuffled(seed: int) -> list[tuple[str, bool]]:
    rows = streams.tweets(20_000)
    random.Random(seed).shuffle(rows)
    return rows


def _pairs(rows: list[tuple[str, bool]], seed: int) -> tuple[list[Pair], Floats]:
    draws, pairs, scores = random.Random(seed), list[Pair](), list[float]()
    for text, liked in rows:
        right = draws.random() < 0.5
        pairs.append((text, "positive" if liked == right else "negative"))
        scores.append(float(right))
    return pairs, np.array(scores)


def language(training: TrainingSettings) -> Model:
    return LanguageModel(
        settings=LanguageSettings(INSTRUCTION, chat=False, labels=LABELS, input_tokens_max=48, training=training)
    )


def made(name: str) -> Model:
    return OnlineTextModel() if name == "text" else language(LORA if name == "lora" else FROZEN)


def held_out(model: Model, rows: list[tuple[str, bool]], seed: int) -> dict[str, float]:
    """Accuracy and AUC on one label a tweet; ``liked_first``: how often the right one of both labels is ranked first."""
    pairs, scores = _pairs(rows, seed)
    # Side by side, both labels of a tweet are one row of a pass.
    both = model.predict([(text, label) for text, _ in rows for label in LABELS]).reshape(-1, 2)
    found = both[np.arange(len(rows)), [LABELS.index(label) for _, label in pairs]]
    liked = np.array([0 if positive else 1 for _, positive in rows])
    # Equal scores are no choice: they count as half.
    first = np.where(both[:, 0] == both[:, 1], 0.5, both.argmax(axis=1) == liked)
    accuracy = np.where(found == 0.5, 0.5, (found > 0.5) == (scores > 0.5)).mean()
    return {
        "accuracy": float(accuracy),
        "auc": streams.ordered(found, scores),
        "brier": float(((found - scores) ** 2).mean()),
        "liked_first": float(first.mean()),
    }


def run(folder: Path, name: str, seed: int, events: int, seconds: float) -> None:
    """Go on from the last checkpoint in ``folder``."""
    book, weights = folder / f"{name}-{seed}.json", folder / f"{name}-{seed}.model"
    folder.mkdir(parents=True, exist_ok=True)
    kept = json.loads(book.read_text()) if book.exists() else {"said": [], "cpu_s": 0.0, "held_out": {}}
    model = load_model(weights.read_bytes()) if weights.exists() else made(name)
    rows, started = _shuffled(seed), time.monotonic()
    pairs, scores = _pairs(rows[:events], seed + 1)
    for checkpoint in (point for point in CHECKPOINTS if point <= events and str(point) not in kept["held_out"]):
        while (at := len(kept["said"])) < checkpoint:
            part, start = slice(at, at + CYCLE), time.process_time()
            kept["said"] += model.predict(pairs[part]).tolist()
            model.learn(pairs[part], scores[part])
            kept["cpu_s"] += time.process_time() - start
        kept["held_out"][str(checkpoint)] = held_out(model, rows[-HELD_OUT:], seed + 2)
        print(name, seed, checkpoint, kept["held_out"][str(checkpoint)], f"{kept['cpu_s']:.0f} CPU-s", flush=True)
        weights.write_bytes(model.dump())
        book.write_text(json.dumps({**kept, "scores": scores[: len(kept["said"])].tolist()}))
        if 0 < seconds < time.monotonic() - started:
            return


def report(folder: Path, seeds: list[int]) -> None:
    """The mean over shuffles at every checkpoint, and paired bootstraps of the prequential accuracy."""
    books = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    for figure in ("accuracy", "auc", "brier", "liked_first"):
        for name in ("text", "frozen", "lora"):
            found = [books[f"{name}-{seed}"]["held_out"] for seed in seeds if f"{name}-{seed}" in books]
            cells = [[one[str(point)][figure] for one in found if str(point) in one] for point in CHECKPOINTS]
            shown = [f"{np.mean(cell):.3f} ± {np.std(cell):.3f} ({len(cell)})" if cell else "-" for cell in cells]
            print(f"| {figure} | {name} | {' | '.join(shown)} |")
    for name in ("text", "frozen", "lora"):
        found = [books[f"{name}-{seed}"] for seed in seeds if f"{name}-{seed}" in books]
        spent = [1000 * one["cpu_s"] / max(len(one["said"]), 1) for one in found]
        print(f"{name}: {np.mean(spent):.1f} CPU-ms an event" if spent else f"{name}: not run")
    for other in ("frozen", "text"):
        gains = [_right(books[f"lora-{seed}"], books[f"{other}-{seed}"]) for seed in seeds
                 if f"lora-{seed}" in books and f"{other}-{seed}" in books]  # fmt: skip
        if gains:
            paired(f"prequential accuracy, lora minus {other}, {len(gains)} shuffles", np.concatenate(gains))


def _right(mine: dict[str, list[float]], other: dict[str, list[float]]) -> Floats:
    """One number an event: 1 where only ``mine`` was right, -1 where only ``other`` was."""
    count = min(len(mine["said"]), len(other["said"]))
    scores = np.array(mine["scores"][:count]) >= 0.5
    right = [(np.array(one["said"][:count]) >= 0.5) == scores for one in (mine, other)]
    return right[0].astype(np.float64) - right[1]


def paired(name: str, gains: Floats) -> None:
    """Bootstrap over events."""
    draws = np.random.default_rng(0)
    means = [gains[draws.integers(len(gains), size=len(gains))].mean() for _ in range(2000)]
    low, high = np.quantile(means, [0.025, 0.975])
    print(f"{name}: {gains.mean():+.3f} [{low:+.3f}, {high:+.3f}] over {len(gains):,} events")


def main() -> None:
    task, folder, *more = sys.argv[1:]
    if task == "report":
        report(Path(folder), [int(seed) for seed in more] or [1, 2, 3])
        return
    name, seed, events = (more + ["lora", "0", "2000"][len(more) :])[:3]
    run(Path(folder), name, int(seed), int(events), float(os.environ.get("PIECE_SECONDS", "0")))


if __name__ == "__main__":
    main()
