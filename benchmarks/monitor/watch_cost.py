"""What do alignment, coherence and patterns cost an event, and what does a loop's monitor weigh?

    python -m benchmarks.monitor.watch_cost [cycles]

CPU time inside `LoopMonitor.observe` on cycles of 100 events of 12 words, with users and segments; drift is told apart.
The limit for the three together is 0.15 ms an event.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from meta_learning.clrs import AlignmentScorer, CoherenceAnalyzer, DriftDetector, Exchange, LoopMonitor
from meta_learning.clrs.coherence.words import HashedPairs
from meta_learning.clrs.patterns.topic_words import TopicWords
from meta_learning.clrs.patterns.watch import PatternWatch
from meta_learning.events import CycleCompleted
from tests.core.clrs.planted import SIZE, World

PARTS: dict[str, list[tuple[Any, str]]] = {
    "drift": [(DriftDetector, "update"), (DriftDetector, "result")],
    "alignment": [(AlignmentScorer, "update"), (AlignmentScorer, "result")],
    "coherence": [(CoherenceAnalyzer, "update"), (CoherenceAnalyzer, "result"), (HashedPairs, "of")],
    "patterns": [(PatternWatch, "update"), (TopicWords, "update")],
    "observe": [(LoopMonitor, "observe")],
    "split": [(LoopMonitor, "split")],
}
spent: defaultdict[str, float] = defaultdict(float)


def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def around(*given: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return function(*given, **named)
        finally:
            spent[part] += time.process_time() - began

    return around


def cycles(count: int) -> list[tuple[CycleCompleted, list[Exchange]]]:
    world, made = World(1), []
    for number in range(1, count + 1):
        told = world.cycle(number)
        numbers = {name: tuple(told[name].tolist()) for name in ("said", "guess", "probe")}
        event = CycleCompleted(
            event_id=f"c{number}",
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
            loop="support",
            cycle=number,
            first_entry="0-1",
            last_entry="0-2",
            events_count=SIZE,
            decision="held",
            reasons=(),
            numbers={"constant": 0.5},
            feedback_scores=numbers["said"],
            predictions=numbers["guess"],
            probe_champion=numbers["probe"],
        )
        who = zip(told["inputs"], told["outputs"], told["users"], told["segments"], strict=True)
        made.append((event, [Exchange(asked, said, f"u{user}", f"s{part}") for asked, said, user, part in who]))
    return made


def main(count: int = 60) -> None:
    given, monitor = cycles(count), LoopMonitor()
    for part, methods in PARTS.items():
        for owner, name in methods:
            setattr(owner, name, timed(part, getattr(owner, name)))
    for event, exchanges in given:
        monitor.observe(event, exchanges)
        state, references = monitor.split()
    for part in PARTS:
        print(f"{part:10s} {1e3 * spent[part] / (count * SIZE):.4f} ms an event")
    ours = sum(spent[part] for part in ("alignment", "coherence", "patterns"))
    print(f"alignment, coherence and patterns: {1e3 * ours / (count * SIZE):.4f} ms an event (at most 0.15)")
    print(f"state {len(state) / 1024:.0f} KB as JSON, references {len(references) / 1024:.0f} KB")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
