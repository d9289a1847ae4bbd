"""Events per CPU-second of the text model at the settings whose accuracy `learning` reports, beside its peers.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.clrs.speed [events] [rounds]

Each round runs every arm once, in turn; medians. All read the same tweets, predict and learn each one, on one thread; start-up and
compilation are not counted. Vowpal Wabbit on the same features (words 1-2, characters 3-5) with the line that was most accurate.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.clrs.learning import LINES, Stream, tweets
from benchmarks.peers import ask
from meta_learning.clrs import OnlineTextModel
from meta_learning.clrs.models.paths import PURE, Path, compiled
from meta_learning.clrs.models.text_model import warm_up

VOWPAL = "vw w2+char"


def learner(stream: Stream, path: Path, block: int) -> float:
    model, start = OnlineTextModel(path=path), time.process_time()
    for first in range(0, len(stream.pairs), block):
        part = slice(first, first + block)
        model.predict(stream.pairs[part])
        model.learn(stream.pairs[part], stream.taught[part])
    return len(stream.pairs) / (time.process_time() - start)


def vowpal(stream: Stream, name: str) -> float:
    asked = {"texts": stream.fields, "labels": stream.taught.tolist(), "lines": {name: LINES[name]}}
    answer = ask("vowpal_wabbit", "vowpal_online.py", asked)
    return len(stream.pairs) / float(answer["lines"][name]["seconds"])


def river(stream: Stream) -> float:
    answer = ask("river", "river_online.py", {"texts": stream.fields, "labels": stream.taught.tolist()})
    return len(stream.pairs) / float(answer["seconds"])


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    stream = tweets(0, events)
    start = time.process_time()
    warm_up(compiled())
    print(f"warm-up (import numba, compile or read back): {time.process_time() - start:.1f} CPU-s")
    arms: dict[str, Callable[[], float]] = {
        "ours, compiled, each": lambda: learner(stream, compiled(), 1),
        "ours, compiled, 100": lambda: learner(stream, compiled(), 100),
        "ours, pure, 100": lambda: learner(stream, PURE, 100),
        "ours, pure, each": lambda: learner(stream, PURE, 1),
        "vw w2+char": lambda: vowpal(stream, VOWPAL),
        "vw w2 -l1 (words only)": lambda: vowpal(stream, "vw w2 -l1"),
        "river NB bigrams": lambda: river(stream),
    }
    found: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, run in arms.items():
            found[name].append(run())
    median = {name: statistics.median(rates) for name, rates in found.items()}
    print(f"{'arm':26s}{'events/CPU-s':>14}{'of vw w2+char':>15}{'of river':>10}   range")
    for name, rate in median.items():
        ratios = f"{rate / median[VOWPAL]:>15.2f}{rate / median['river NB bigrams']:>10.2f}"
        print(f"{name:26s}{rate:>14,.0f}{ratios}   {min(found[name]):,.0f} – {max(found[name]):,.0f}")


if __name__ == "__main__":
    main()
