"""What does fine-tuning a small language model on feedback bring, beside the frozen one and the text model?

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.models.language [run FOLDER [shuffle seed] [events]]
    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.models.language report FOLDER [shuffle seed ...]

Needs the extra ``torch`` and the packaged SmolLM2-135M (CPU). Stream ``right/wrong`` of `benchmarks.streams`: a tweet of
Sentiment140 and a label that is right half of the time, liked if it is. All models see the same events, in cycles of 50, each
predicted before it is learnt (prequential); after 0, 250, 500, 1,000 and 2,000 events they judge 300 held-out tweets, each
with one label, and rank both labels of each. ``frozen`` never trains its adapter: only the calibration of the bare base learns. It
goes first, and ``lora`` takes over what the bare base said: its time counts that of ``frozen`` in.

`run` stops after ``PIECE_SECONDS`` (0: never) with models and figures in FOLDER, from where the same command goes on. A model
in FOLDER/base takes the place of the packaged one (or is the same, in a layout that opens faster). The instruction and the
settings of training were chosen on shuffle 0; `report` takes the others.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import streams
from meta_learning.clrs.models.language.adapter_trainer import TrainingSettings
from meta_learning.clrs.models.language.base_weights import PACKAGED, BaseWeights
from meta_learning.clrs.models.language.language_model import LanguageModel, LanguageSettings
from meta_learning.clrs.models.language.low_rank import AdapterShape
from meta_learning.clrs.models.language.prompting import Question
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.models.text_model import OnlineTextModel

CYCLE, HELD_OUT = 50, 300
CHECKPOINTS = (0, 250, 500, 1000, 2000)
INSTRUCTION = "Tweet: {input}\nSentiment:"
LABELS = ("positive", "negative")
LORA = TrainingSettings(AdapterShape(layers_count=10))


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


class Remembering(BaseWeights):
    """What the bare base said to the same questions is said again: two models on it ask the same."""

    def __init__(self, opened: BaseWeights) -> None:
        super().__init__(opened.model, opened.tokenizer, opened.source, opened.device, opened.numbers)
        self._said: dict[str, Any] = {}

    def log_probabilities(self, questions: Sequence[Question], adapter: Any) -> Any:
        """As the base's; a question to the bare base is asked once."""
        if adapter is not None:
            return super().log_probabilities(questions, adapter)
        key = repr(questions)
        if key not in self._said:
            self._said[key] = super().log_probabilities(questions, None)
        return self._said[key]


def made(weights: Path) -> dict[str, Model]:
    """The models compared, in the order in which they are asked; ``weights``: the base's, if there are any."""
    base = Remembering(BaseWeights.open(weights if weights.is_dir() else PACKAGED))
    asked = LanguageSettings(INSTRUCTION, chat=False, labels=LABELS, input_tokens_max=48, training=LORA)
    frozen = replace(asked, training=replace(LORA, passes_count=0))
    return {"text": OnlineTextModel(), "frozen": LanguageModel(base, frozen), "lora": LanguageModel(base, asked)}


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


class Arm:
    """One model with what it said so far, kept in two files."""

    def __init__(self, folder: Path, name: str, model: Model) -> None:
        self.book, self.weights = folder / f"{name}.json", folder / f"{name}.model"
        known = self.book.exists()
        fresh: dict[str, Any] = {"said": [], "cpu_s": 0.0, "held_out": {}}
        self.kept: dict[str, Any] = json.loads(self.book.read_text()) if known else fresh
        self.model = load_model(self.weights.read_bytes(), like=model) if known else model

    def cycle(self, pairs: list[Pair], scores: Floats) -> None:
        """Predict, then learn."""
        start = time.process_time()
        self.kept["said"] += self.model.predict(pairs).tolist()
        self.model.learn(pairs, scores)
        self.kept["cpu_s"] += time.process_time() - start

    def save(self, scores: Floats) -> None:
        """Write down the model and what it said, beside what was true."""
        self.weights.write_bytes(self.model.dump())
        self.book.write_text(json.dumps({**self.kept, "scores": scores[: len(self.kept["said"])].tolist()}))


def run(folder: Path, seed: int, events: int, seconds: float) -> None:
    """Go on from where ``folder`` stands."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    arms = {name: Arm(folder, f"{name}-{seed}", model) for name, model in made(folder / "base").items()}
    rows = _shuffled(seed)
    pairs, scores = _pairs(rows[:events], seed + 1)
    done = len(arms["lora"].kept["said"])
    for at in range(done, events + 1, CYCLE):
        if at in CHECKPOINTS:
            for name, arm in arms.items():
                arm.kept["held_out"][str(at)] = held_out(arm.model, rows[-HELD_OUT:], seed + 2)
                print(name, seed, at, arm.kept["held_out"][str(at)], f"{arm.kept['cpu_s']:.0f} CPU-s", flush=True)
        over = 0 < seconds < time.monotonic() - started
        if over or at == events:
            break
        for arm in arms.values():
            arm.cycle(pairs[at : at + CYCLE], scores[at : at + CYCLE])
    for arm in arms.values():
        arm.save(scores)


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
        print(f"{name}: {np.mean(spent):.1f} CPU-ms an event of its own" if spent else f"{name}: not run")
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
    return np.asarray(right[0].astype(np.float64) - right[1])


def paired(name: str, gains: Floats) -> None:
    """Bootstrap over events."""
    draws = np.random.default_rng(0)
    means = [gains[draws.integers(len(gains), size=len(gains))].mean() for _ in range(2000)]
    low, high = np.quantile(means, [0.025, 0.975])
    print(f"{name}: {gains.mean():+.3f} [{low:+.3f}, {high:+.3f}] over {len(gains):,} events")


def main() -> None:
    task, folder, *more = sys.argv[1:] or ["run", "data/benchmarks/language"]
    if task == "report":
        report(Path(folder), [int(seed) for seed in more] or [1, 2, 3])
        return
    seed, events = (more + ["0", "2000"][len(more) :])[:2]
    run(Path(folder), int(seed), int(events), float(os.environ.get("PIECE_SECONDS", "0")))


if __name__ == "__main__":
    main()
