"""How much of the bare learner's speed is left when it learns inside the loop, and inside the trainer with a real broker?

One process, CPU-seconds of this process, the same text, three arms in one run:

- learner: `OnlineTextModel` alone, predict a block of 100, then learn it;
- loop:    `ClosedLoopSystem` (probe, gates, candidate and champion, the three scores);
- trainer: the trainer's fold over a real broker (decode, loop, snapshot, weights to disk, commit).

    python -m benchmarks.services.trainer_throughput [--file FEEDBACK] [--count 4000]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from meta_learning.clrs import ClosedLoopSystem, OnlineTextModel
from meta_learning.datasets.files import read_feedback
from meta_learning.datasets.samples import FEEDBACK_SAMPLE
from meta_learning.events import FeedbackReceived, parse_time
from meta_learning.registry.store import FileStore
from meta_learning.streams import partition_of
from meta_learning.streams.embedded import EmbeddedBroker
from meta_learning.streams.redis import RedisLog
from services.trainer.loops import Loops

NOON = parse_time("2026-01-02T12:00:00Z")
CYCLE = 100
LOOP = "bench"


def read_events(path: Path, count: int) -> list[FeedbackReceived]:
    rows = list(read_feedback(path))
    chosen = (rows * (count // len(rows) + 1))[:count]
    return [
        FeedbackReceived(
            event_id=f"e{number}",
            occurred_at=NOON,
            loop=LOOP,
            input_text=row.input_text,
            output_text=row.output_text,
            feedback_score=row.feedback_score,
        )
        for number, row in enumerate(chosen)
    ]


def learner(events: Sequence[FeedbackReceived]) -> None:
    model = OnlineTextModel()
    for start in range(0, len(events), CYCLE):
        block = events[start : start + CYCLE]
        pairs = [(event.input_text, event.output_text) for event in block]
        model.predict(pairs)
        model.learn(pairs, np.array([event.feedback_score for event in block]))


def loop(events: Sequence[FeedbackReceived]) -> None:
    system = ClosedLoopSystem(cycle_size=CYCLE, loop=LOOP)
    for number, event in enumerate(events):
        system.fold(event, entry_id=f"0-{number + 1}")


def trainer(events: Sequence[FeedbackReceived]) -> float:
    """CPU-seconds of the fold alone; appending is the producer's work and is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedBroker(Path(folder) / "broker")
        url = broker.start()
        try:
            return asyncio.run(fold_all(url, Path(folder), events))
        finally:
            broker.stop()


async def fold_all(url: str, folder: Path, events: Sequence[FeedbackReceived]) -> float:
    log = RedisLog(url, partitions_count=1)
    await log.start()
    await log.append(events)
    fold = log.fold("trainer", partition_of(LOOP, 1))
    loops = Loops(
        new=lambda name: ClosedLoopSystem(cycle_size=CYCLE, loop=name),
        restore=lambda name, state, get: ClosedLoopSystem.restore(state, get, cycle_size=CYCLE, loop=name),
        workspace=lambda name: FileStore(folder / "workspace" / name),
        registry=FileStore(folder / "registry"),
    )
    await fold.acquire("bench")
    loops.load((await fold.load()).state)
    started = time.process_time()
    while entries := await fold.read(500, wait_ms_max=100):
        folded = loops.fold(entries)
        await fold.commit(folded.commit)
        loops.committed(folded)
    seconds = time.process_time() - started
    await log.close()
    return seconds


def timed(run: Callable[[Sequence[FeedbackReceived]], float | None], events: Sequence[FeedbackReceived]) -> float:
    started = time.process_time()
    seconds = run(events)
    return len(events) / (seconds if seconds is not None else time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=FEEDBACK_SAMPLE, help="feedback to learn from")
    parser.add_argument("--count", type=int, default=4000, help="events")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; the median is reported")
    options = parser.parse_args()
    events = read_events(options.file, options.count)
    arms: dict[str, Callable[[Sequence[FeedbackReceived]], float | None]] = {
        "learner": learner,
        "loop": loop,
        "trainer": trainer,
    }
    loop(events[: 2 * CYCLE])  # what is compiled at first use is no part of the rates
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(options.rounds):
        for name, run in arms.items():
            rates[name].append(timed(run, events))
    limit = statistics.median(rates["learner"])
    print(f"{options.file.name}, {options.count} events, cycle {CYCLE}, {options.rounds} rounds, medians")
    print(f"{'arm':<10}{'events per CPU-s':>18}{'of the learner':>16}{'range':>20}")
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"{name:<10}{rate:>18,.0f}{rate / limit:>16.2f}{f'{min(found):,.0f} – {max(found):,.0f}':>20}")


if __name__ == "__main__":
    main()
