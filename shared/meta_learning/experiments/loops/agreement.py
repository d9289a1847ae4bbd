"""Whether a running system did with a loop's events what the library does with them in process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.experiments.loops.following import Followed, cycle_line
from meta_learning.experiments.loops.served import Step

EXACT = 1e-9  # scores travel as JSON, which keeps every bit: more than this is another model's answer


def agreement(system: ClosedLoopSystem, steps: Sequence[Step], told: Followed) -> dict[str, Any]:
    """Do ``steps`` again with ``system``, a fresh loop in process, and compare what was ``told`` of the services.

    ``differing``: the fields of a cycle that are not equal in some cycle; ``versions_differing``: questions that another version
    answered; ``expected_difference``: the largest difference of an expected score; ``agrees``: nothing of it, and equal counts.
    """
    lines: list[dict[str, Any]] = []
    alarms = versions = 0
    largest = 0.0
    ends = iter(told.cycles)
    for step in steps:
        if step.said is None:
            assert step.expected is not None
            versions += system.champion_version != step.version
            largest = max(largest, abs(system.score(step.text, step.answer) - step.expected))
            continue
        said = {"user_id": step.user, "propensity": step.propensity}
        if system.collect_feedback(step.text, step.answer, step.said, **said) is not None:  # type: ignore[arg-type]
            end = next(ends, None)
            lines.append(cycle_line(system.get_system_summary(), end["interactions"] if end else 0, alarms))
            alarms += len(lines[-1]["alarms"])
    differing = sorted(
        {name for mine, theirs in zip(lines, told.cycles, strict=False) for name in _unequal(mine, theirs)}
    )
    counts = system.get_system_summary()["counts"]
    equal = {name: counts.get(name, 0) for name in told.counts} == told.counts and len(lines) == len(told.cycles)
    return {
        "agrees": equal and not differing and not versions and largest <= EXACT,
        "questions": sum(step.said is None for step in steps),
        "cycles": len(lines),
        "counts_equal": equal,
        "differing": differing,
        "versions_differing": versions,
        "expected_difference": largest,
    }


def _unequal(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    return [name for name in mine if mine[name] != theirs[name]]
