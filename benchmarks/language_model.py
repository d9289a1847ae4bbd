"""What does fine-tuning a small language model on a few hundred pieces of feedback bring, beside the frozen one and the text model?

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.language_model [events] [shuffle seed] [text|frozen|lora ...]

Needs the extra ``torch`` and the packaged SmolLM2-135M (CPU). Stream ``right/wrong`` of `benchmarks.streams`: a tweet of
Sentiment140 and a label that is right half of the time; prequential, cycles of 25. All lines see the same events. ``frozen``
never trains its adapter: only the calibration of the bare base learns.
Instruction, labels, blocks and beta were changed once after a look at shuffle 0.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks import streams
from meta_learning.clrs.models.language.adapter_trainer import TrainingSettings
from meta_learning.clrs.models.language.language_model import LanguageModel, LanguageSettings
from meta_learning.clrs.models.language.low_rank import AdapterShape
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.models.text_model import OnlineTextModel

CYCLE = 25
INSTRUCTION = "Tweet: {input}\nFeeling of the tweet, positive or negative:"
LORA = TrainingSettings(AdapterShape(layers_count=10), beta=0.5)


def stream(events: int, seed: int) -> tuple[list[Pair], Floats]:
    """``right/wrong`` on a shuffle of its own."""
    rows = streams.tweets(20_000)
    random.Random(seed).shuffle(rows)
    draws, pairs, scores = random.Random(seed + 1), list[Pair](), list[float]()
    for text, liked in rows[:events]:
        right = draws.random() < 0.5
        pairs.append((text, "positive" if liked == right else "negative"))
        scores.append(float(right))
    return pairs, np.array(scores)


def language(training: TrainingSettings) -> Model:
    return LanguageModel(
        settings=LanguageSettings(
            INSTRUCTION, chat=False, labels=("positive", "negative"), input_tokens_max=48, training=training
        )
    )


def frozen() -> Model:
    return language(TrainingSettings(LORA.shape, passes_count=0))


def run(name: str, model: Model, pairs: list[Pair], scores: Floats) -> Floats:
    found, start = [], time.process_time()
    for at in range(0, len(pairs), CYCLE):
        part = slice(at, at + CYCLE)
        found.append(model.predict(pairs[part]))
        model.learn(pairs[part], scores[part])
        said = np.concatenate(found)
        print(
            f"    {name}: {len(said)} events, accuracy {((said >= 0.5) == scores[: len(said)]).mean():.3f}", flush=True
        )
    spent = time.process_time() - start
    streams.line(name, said, scores, spent)
    right = (said >= 0.5) == (scores >= 0.5)
    quarters = [part.mean() for part in np.array_split(right, 4)]
    print(
        f"    accuracy by quarter {' '.join(f'{part:.3f}' for part in quarters)}; {len(model.dump()):,} bytes a version"
    )
    return np.asarray(right, dtype=np.float64)


def paired(name: str, mine: Floats, other: Floats) -> None:
    """Bootstrap over items of the difference in accuracy."""
    gains, draws = mine - other, np.random.default_rng(0)
    means = [gains[draws.integers(len(gains), size=len(gains))].mean() for _ in range(2000)]
    low, high = np.quantile(means, [0.025, 0.975])
    print(f"  {name}: {gains.mean():+.3f} [{low:+.3f}, {high:+.3f}]")


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    pairs, scores = stream(events, seed)
    print(f"right/wrong: {events} events, shuffle {seed}")
    streams.line("floor: always 0.5", np.full(events, 0.5), scores, 1e9)
    made: dict[str, Callable[[], Model]] = {"text": OnlineTextModel, "frozen": frozen, "lora": lambda: language(LORA)}
    right = {name: run(name, made[name](), pairs, scores) for name in sys.argv[3:] or made}
    for other in ("frozen", "text"):
        if "lora" in right and other in right:
            paired(f"lora minus {other}", right["lora"], right[other])


if __name__ == "__main__":
    main()
