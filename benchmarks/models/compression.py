"""What does a compressed version weigh, how well does it answer, and does it pass the gates?

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.models.compression [events] [shuffle seed] [model …]

The stream ``right/wrong`` of `benchmarks.models.language`; the first two thirds are learnt, the last third is held out, for accuracy
and for the gates. Size is that of the dumped version; latency is CPU time to score one pair (median of 50 single calls).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neural_network import MLPClassifier

from benchmarks.models.language import stream
from meta_learning.clrs import EstimatorModel, LoopSettings, OnlineTextModel
from meta_learning.clrs.models.compression import Compressible, compressed, judged
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.models.quantised import Recipe

RECIPES = [Recipe(8), Recipe(4), Recipe(2), Recipe(8, 0.3), Recipe(8, 0.1), Recipe(4, 0.1), Recipe(8, 0.02)]
MODELS: dict[str, Callable[[], Model]] = {
    "text": lambda: OnlineTextModel(),
    "logistic SGD": lambda: EstimatorModel(SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.5)),
    "averaged SGD": lambda: EstimatorModel(SGDClassifier(loss="log_loss", alpha=1e-5, average=True)),
    "naive Bayes": lambda: EstimatorModel(MultinomialNB()),
    "network": lambda: EstimatorModel(MLPClassifier((16,), batch_size=10)),
}


def latency_ms(model: Model, pairs: list[Pair]) -> float:
    spent = []
    for pair in pairs[:50]:
        start = time.process_time()
        model.predict([pair])
        spent.append(time.process_time() - start)
    return float(np.median(spent)) * 1000.0


def line(name: str, model: Model, original: Model, pairs: list[Pair], scores: Floats) -> None:
    said = model.predict(pairs)
    accuracy, brier = float(((said >= 0.5) == (scores >= 0.5)).mean()), float(((said - scores) ** 2).mean())
    verdict = ""
    if model is not original:
        decision = judged(original, model, pairs, scores, LoopSettings())
        verdict = decision.outcome + (f" ({decision.reasons[0]})" if decision.reasons else "")
    figures = f"{len(model.dump()):>10,} bytes  accuracy {accuracy:.4f}  Brier {brier:.4f}  {latency_ms(model, pairs):5.2f} ms"
    print(f"  {name:20s}{figures}  {verdict}", flush=True)


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    pairs, scores = stream(events, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    learnt = events * 2 // 3
    for name in sys.argv[3:] or MODELS:
        model = MODELS[name]()
        assert isinstance(model, Compressible)
        for at in range(0, learnt, 100):
            model.learn(pairs[at : at + 100], scores[at : at + 100])
        print(f"{name}: {learnt} events learnt, {events - learnt} held out")
        line("original", model, model, pairs[learnt:], scores[learnt:])
        for recipe in RECIPES:
            said = f"{recipe.bits} bits, keep {recipe.keep_share:g}"
            line(said, compressed(model, recipe), model, pairs[learnt:], scores[learnt:])


if __name__ == "__main__":
    main()
