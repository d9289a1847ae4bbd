"""A closed loop in one process: it learns what users like, holds back a poisoned version, and notices a change.

Run it with ``python examples/meta_learning/example_clrs.py``; no key, no server, a few seconds. The feedback is made here.

In the cycle in which all users lie, the champion that had learnt most loses most, so the version before it answers again; what
learnt from the lies never takes over, because honest feedback refutes it.
"""

from __future__ import annotations

import random

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.events import CycleCompleted

GOOD = ["kept every promise", "arrived early", "tasted wonderful", "solved it at once", "looks even better than new"]
BAD = ["arrived broken", "never called back", "was cold and stale", "lost my order twice", "stopped working overnight"]
THINGS = [
    "the lamp",
    "my parcel",
    "dinner",
    "the support team",
    "this phone",
    "the courier",
    "the coffee",
    "the new sofa",
]
STRANGE = ["invoice 4471 overdue", "tax form rejected", "ledger mismatch in March", "refund booked twice"]


def feedback(draws: random.Random, *, poisoned: bool = False, strange: bool = False) -> tuple[str, str, float]:
    """One review, a label that an application gave it, and whether the user agreed. One user in ten errs."""
    good = draws.random() < 0.5
    subject = draws.choice(STRANGE if strange else THINGS)
    review = f"{subject} {draws.choice(GOOD if good else BAD)}, {draws.choice(['honestly', 'again', 'as ever', 'this time'])}"
    label = draws.choice(["positive", "negative"])
    agreed = (label == "positive") == good
    return review, label, float(agreed != (poisoned or draws.random() < 0.1))


def show(cycle: CycleCompleted, note: str) -> None:
    gain = cycle.numbers.get("gain")
    shown = "" if gain is None else f"  gain {gain:+.4f}"
    print(f"cycle {cycle.cycle:2d}  {cycle.decision:9s}{shown:15s}  {note}")
    if cycle.decision != "promoted":
        print(f"          {cycle.reasons[0]}")


def number(score: float | None) -> str:
    return "collecting" if score is None else f"{score:.2f}"


def main() -> None:
    clrs, draws = ClosedLoopSystem(cycle_size=100), random.Random(0)
    plan: list[tuple[str, dict[str, bool]]] = [("honest feedback", {})] * 9 + [
        ("POISONED: every user lies", {"poisoned": True})
    ]
    plan += [("honest again", {})] * 2 + [("other topics", {"strange": True})] * 2
    for note, change in plan:
        for _ in range(100):
            review, label, score = feedback(draws, **change)
            cycle = clrs.collect_feedback(
                input_text=review, output_text=label, feedback_score=score, metadata={"source": "user"}
            )
            if cycle is not None:
                show(cycle, note)

    question = "my parcel never called back, honestly"
    print(f"\nWhich label for {question!r}?")
    for label, expected in clrs.rank(input_text=question, candidates=["positive", "negative"]):
        print(f"  {label:9s} expected feedback {expected:.2f}")

    summary = clrs.get_system_summary()
    print(f"\n{summary['events']} events in {summary['cycles']} cycles: {summary['decisions']}")
    for name in ("drift", "alignment", "coherence"):
        found = summary[name]
        interval = (
            "" if found["current"] is None else f"  [{found['low']:.2f}, {found['high']:.2f}] from {found['n']} events"
        )
        print(f"  {name:10s}{number(found['current'])}{interval}")
    kinds = ", ".join(f"{kind} {number(score)}" for kind, score in summary["drift"]["kinds"].items())
    print(f"  drift set by {summary['drift']['set_by']}: {kinds}")
    print(f"  alignment is {summary['alignment']['state']}: concordance {number(summary['alignment']['concordance'])}")


if __name__ == "__main__":
    main()
