"""What does watching a loop cost: CPU an event, from 1 to 1,000 loops, and the memory of a loop?

    META_LEARNING_DATA_SETS=../shared/data OMP_NUM_THREADS=1 PYTHONPATH=shared:. python -m benchmarks.monitor.cost [cycles] [loops ...]

Each loop folds cycles of 100 real tweets with predictions, feedback, a probe of 200 and a control arm, through
`LoopMonitor`, all of its scores on. Loops take turns, cycle by cycle; then one loop in
cycles of 1,000 and of 10,000. Beside it Evidently's drift preset on three numeric
columns, windows of 100 against 1,000.
"""

from __future__ import annotations

import csv
import os
import sys
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.peers import ask
from meta_learning.clrs import Exchange, LoopMonitor, LoopSettings
from meta_learning.events import CycleCompleted

DATA = Path(os.environ.get("META_LEARNING_DATA_SETS", "../shared/data")) / "sentiment140_train_20k_head_tail.csv"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
WARM = 12  # cycles until the text references are full and compared with
LARGE = (1000, 10_000)
TAUGHT_MAX = 10  # loops that live through these; further ones begin as copies of them, each with memory of its own


def cycle(number: int, draws: np.random.Generator, size: int = 100) -> CycleCompleted:
    true = draws.integers(2, size=size).astype(float)
    predicted = np.clip(true * 0.6 + 0.2 + draws.normal(0, 0.15, size), 0, 1)
    probe = tuple(np.clip(draws.normal(0.5, 0.2, 200), 0, 1).tolist())
    return CycleCompleted(
        event_id=f"cycle-{number}",
        occurred_at=BEGAN,
        loop="bench",
        cycle=number,
        first_entry="0-0",
        last_entry="0-1",
        events_count=size,
        decision="held",
        reasons=(),
        numbers={"constant": 0.5, "brier_champion": 0.1, "brier_constant": 0.25},
        champion_version="a",
        candidate_version="b",
        feedback_scores=tuple(true.tolist()),
        predictions=tuple(predicted.tolist()),
        probe_champion=probe,
        control_version="a",
        control_predictions=tuple(predicted.tolist()),
    )


def exchanges(texts: list[str], draws: np.random.Generator, size: int = 100) -> list[Exchange]:
    chosen = draws.integers(len(texts), size=size).tolist()
    said = draws.choice(["positive", "negative"], size).tolist()
    return [
        Exchange(texts[index], output, user_id=f"u{index % 37}", segment=("de", "en", "fr")[index % 3])
        for index, output in zip(chosen, said, strict=True)
    ]


def fold(monitors: list[LoopMonitor], texts: list[str], cycles: range, draws: np.random.Generator) -> float:
    """Milliseconds of CPU an event."""
    spent = 0.0
    for number in cycles:
        for monitor in monitors:
            event, batch = cycle(number, draws), exchanges(texts, draws)
            began = time.process_time()
            monitor.observe(event, batch)
            spent += time.process_time() - began
    return 1000 * spent / (len(cycles) * len(monitors) * 100)


def large(texts: list[str], draws: np.random.Generator, size: int) -> float:
    """Milliseconds of CPU an event in cycles of ``size``: nothing may take the square of it."""
    monitor, spent = LoopMonitor(LoopSettings(cycle_size=size)), 0.0
    for number in range(1, 5):
        event, batch = cycle(number, draws, size), exchanges(texts, draws, size)
        began = time.process_time()
        monitor.observe(event, batch)
        spent += time.process_time() - began
    return 1000 * spent / (4 * size)


def memory(texts: list[str], draws: np.random.Generator) -> tuple[float, float]:
    """Kilobytes that a loop's monitor holds in the process, and those of its saved state."""
    tracemalloc.start()
    monitors = [LoopMonitor() for _ in range(2)]
    fold(monitors, texts, range(1, 41), draws)
    held = tracemalloc.get_traced_memory()[0] / len(monitors) / 1024
    tracemalloc.stop()
    return held, len(monitors[0].dump()) / 1024


def resident() -> float:
    """Kilobytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def evidently(draws: np.random.Generator) -> None:
    columns = ("a", "b", "c")
    question = {
        "detector": "preset",
        "reference": {name: draws.normal(size=1000).tolist() for name in columns},
        "windows": [{name: draws.normal(size=100).tolist() for name in columns} for _ in range(10)],
    }
    try:
        found = ask("evidently", "evidently_text.py", question)
    except Exception as error:  # noqa: BLE001 - a peer that cannot be installed or run is a line of the report
        print(f"Evidently preset: not run ({type(error).__name__})")
        return
    print(f"Evidently {found['version']} preset, 3 numeric columns: {found['ms'] / 100:.2f} ms an event")


def main() -> None:
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with DATA.open(encoding="latin-1", newline="") as file:
        texts = [row[5] for row in csv.reader(file)]
    draws = np.random.default_rng(0)
    for loops in [int(part) for part in sys.argv[2:]] or [1, 10, 100, 1000]:
        before, monitors = resident(), [LoopMonitor() for _ in range(min(loops, TAUGHT_MAX))]
        warm, measured = range(1, WARM + 1), range(WARM + 1, WARM + 1 + max(2, cycles // loops))
        first = fold(monitors, texts, warm, draws)
        dumps = [monitor.dump() for monitor in monitors]
        monitors += [LoopMonitor.load(dumps[number % TAUGHT_MAX]) for number in range(loops - len(monitors))]
        print(
            f"{loops} loops: {fold(monitors, texts, measured, draws):.3f} ms an event (while filling {first:.3f}),"
            f" {(resident() - before) / loops:.0f} KB a loop resident",
            flush=True,
        )
    for size in LARGE:
        print(f"1 loop in cycles of {size}: {large(texts, draws, size):.3f} ms an event", flush=True)
    held, saved = memory(texts, draws)
    print(f"a loop holds {held:.0f} KB in the process, and {saved:.0f} KB as a saved state")
    evidently(draws)


if __name__ == "__main__":
    main()
