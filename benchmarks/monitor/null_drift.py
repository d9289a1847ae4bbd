"""Do drift scores stay quiet when nothing drifts? The share of windows above 0.3 on many undrifted streams.

    META_LEARNING_DATA_SETS=../shared/data python -m benchmarks.monitor.null_drift [streams] [windows] [whole_loops] [cycles] [first]

A window's bound is Wilson's one-sided 95 %. Texts are real tweets drawn with replacement where the file is there, else Zipf
words; labels are coin flips; the champion errs at a constant 20 %. ``whole_loops`` further streams run through
`ClosedLoopSystem` with defaults: also the model learns there. ``first`` is the number of the first stream and loop, to go on
after a cut.
"""

from __future__ import annotations

import csv
import math
import os
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2

from meta_learning.clrs import ClosedLoopSystem, DriftDetector
from meta_learning.clrs.drift_detector import KINDS, TEXTS
from meta_learning.clrs.statistics import wilson

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data")) / "sentiment140_train_20k_head_tail.csv"
LIMIT = 0.3
WORKERS = int(os.environ.get("WORKERS", "2"))
SCORED_WINDOWS = 40
LOOP_CYCLES = 45  # the behaviour score needs some 24 cycles before it says anything
SEEDS = (5, 6)  # of detectors, of whole loops; 1 to 4 were reported before


@cache
def corpus() -> list[tuple[str, bool]]:
    if not DATA.exists():
        draws = np.random.default_rng(0)
        shares = 1.0 / np.arange(1, 5001)
        rows = draws.choice(5000, (20_000, 13), p=shares / shares.sum())
        return [(" ".join(f"w{word}" for word in row), bool(draws.integers(2))) for row in rows]
    with DATA.open(encoding="latin-1", newline="") as file:
        return [(row[5], row[0] == "4") for row in csv.reader(file)]


def detector(seed: int, texts: list[tuple[str, bool]], windows: int) -> Counter[str]:
    """Texts for ``windows`` windows after the reference of ten; scores alone, which cost little, for 40."""
    over: Counter[str] = Counter()
    draws, detector = np.random.default_rng([SEEDS[0], seed]), DriftDetector(seed=seed)
    for window in range(max(windows + 10, SCORED_WINDOWS)):
        chosen = [texts[index] for index in draws.integers(len(texts), size=100)] if window < windows + 10 else []
        true = draws.integers(2, size=100).astype(float)
        wrong = draws.random(100) < 0.2
        detector.update(
            input_texts=[text for text, _ in chosen],
            output_texts=["positive" if liked else "negative" for _, liked in chosen],
            scored=(np.where(wrong, 1 - true, true) * 0.8 + 0.1, 0.5, true),
        )
        result = detector.result()
        for kind in TEXTS:
            if not chosen:
                result["kinds"][kind] = None  # said already
        count(over, result)
    for alarm in detector.alarms:
        over[f"{alarm.kind} alarms"] += 1
    over["text events"] += (windows + 10) * 100
    over["scored events"] += max(windows + 10, SCORED_WINDOWS) * 100
    return over


def loop(seed: int, texts: list[tuple[str, bool]], cycles: int) -> Counter[str]:
    over: Counter[str] = Counter()
    draws, system = np.random.default_rng([SEEDS[1], seed]), ClosedLoopSystem(seed=seed)
    for _ in range(cycles * 100):
        text, liked = texts[int(draws.integers(len(texts)))]
        label = ("negative", "positive")[int(draws.integers(2))]
        if system.collect_feedback(text, label, float((label == "positive") == liked)):
            count(over, system.get_system_summary()["drift"])
    for alarm in system.get_system_summary()["drift"]["raised"]:
        over[f"{alarm['kind']} alarms"] += 1
    over["events"] += cycles * 100
    return over


def total(run: Callable[..., Counter[str]], seeds: range, *given: Any) -> Counter[str]:
    """The sum of what the runs counted, several at once; told on the way, if the run is cut."""
    over: Counter[str] = Counter()
    with ProcessPoolExecutor(WORKERS) as pool:
        for done, part in enumerate(pool.map(partial(_run, run, given), seeds), 1):
            over += part
            over["runs"] += 1
            over.update(
                {name.replace(" over", " runs"): 1 for name, hits in part.items() if name.endswith(" over") and hits}
            )
            if done % 20 == 0 and done < len(seeds):
                report(f"so far, {done}:", over)
                alarms(over)
    return over


def _run(run: Callable[..., Counter[str]], given: tuple[Any, ...], seed: int) -> Counter[str]:
    return run(seed, corpus(), *given)


def count(over: Counter[str], result: dict[str, object]) -> None:
    kinds = result["kinds"]
    assert isinstance(kinds, dict)
    for name, value in {"any": result["current"], **kinds}.items():
        if isinstance(value, float):
            over[f"{name} windows"] += 1
            over[f"{name} over"] += value > LIMIT


def report(title: str, over: Counter[str]) -> None:
    print(title)
    for name in ("any", *KINDS):
        windows, hits = over[f"{name} windows"], over[f"{name} over"]
        if windows:
            high = wilson(hits / windows, windows, 1.645)[1]
            bound = math.ceil(high * 1e5) / 1e3
            # Windows of one run depend on each other, runs do not.
            runs, high = over[f"{name} runs"], wilson(over[f"{name} runs"] / over["runs"], over["runs"], 1.645)[1]
            print(
                f"  {name:12s} {hits:5d} of {windows:6d} windows above {LIMIT}: {hits / windows:.4%} (95 % below {bound} %),"
                f" in {runs} of {over['runs']} runs (95 % below {high:.2%})",
                flush=True,
            )


def alarms(over: Counter[str]) -> None:
    for kind in (kind for kind in KINDS if over[f"{kind} windows"]):
        found, seen = over[f"{kind} alarms"], over["events"] or over[f"{'text' if kind in TEXTS else 'scored'} events"]
        high = float(chi2.ppf(0.95, 2 * found + 2)) / 2
        print(
            f"  {kind:12s} {found} alarms in {seen} events: {1e4 * found / seen:.3f} per 10,000 (95 % below {1e4 * high / seen:.3f})"
        )


def main() -> None:
    given = [int(part) for part in sys.argv[1:]]
    streams, windows, whole, cycles, first = (*given, *(500, 6, 100, LOOP_CYCLES, 0)[len(given) :])
    if streams:
        found = total(detector, range(first, first + streams), windows)
        print(
            f"{streams} streams: 5 windows of 100 texts against the early reference, {windows} against the whole one,"
        )
        report(f"{SCORED_WINDOWS} of scores", found)
        alarms(found)
    if whole:
        found = total(loop, range(first, first + whole), cycles)
        report(f"{whole} whole loops of {cycles} cycles", found)
        alarms(found)


if __name__ == "__main__":
    main()
