"""Do frozen sentence embeddings under an online head learn faster than hashed text?

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.models.embedding [events] [shuffle seed]

Needs the extra ``embeddings`` and the packaged MiniLM. Streams of `benchmarks.streams`, prequential, cycles of 100.
The rate of the head was not tuned. MiniLM was trained on English: ru-en is outside of what it knows.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks import streams
from benchmarks.models.language import stream
from meta_learning.clrs.models.embedding.embedding_model import EmbeddingModel
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.models.text_model import OnlineTextModel


def prequential(model: Model, pairs: list[Pair], scores: Floats) -> tuple[Floats, float]:
    found, start = [], time.process_time()
    for at in range(0, len(pairs), 100):
        part = slice(at, at + 100)
        found.append(model.predict(pairs[part]))
        model.learn(pairs[part], scores[part])
    return np.concatenate(found), time.process_time() - start


def report(name: str, pairs: list[Pair], scores: Floats, judged: Floats) -> None:
    print(f"{name}: {len(pairs)} events")
    text, text_s = prequential(OnlineTextModel(), pairs, scores)
    streams.line("text model", text, judged, text_s)
    embedded, embedded_s = prequential(EmbeddingModel(), pairs, scores)
    streams.line("MiniLM + online head", embedded, judged, embedded_s)
    streams.line("mean of the two", (text + embedded) / 2, judged, text_s + embedded_s)


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    pairs, scores = stream(events, seed)
    report(f"right/wrong, shuffle {seed}", pairs, scores, scores)
    report("ru-en", *streams.translations(events))


if __name__ == "__main__":
    main()
