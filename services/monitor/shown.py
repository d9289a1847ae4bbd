"""The JSON that the API and the live page show: one shape for a loop in a list, one for a loop in full, one for the system."""

from __future__ import annotations

from heapq import nlargest
from typing import Any

from services.monitor.collecting import OUTCOMES, SCORES
from services.monitor.folding import Loop, current
from services.monitor.state import LoopState, Run
from services.monitor.view import View

LIVE_CANDIDATES_MAX = 3
PROMOTIONS_SHOWN_MAX = 20
COUNTS = ("monitored", "trained", "capped", "distrusted", "unlearnt", "open")
LIVE_LOOPS_MAX = 200  # ten thousand would be 2 MB twice a second for each open page


def loop_in_list(loop: Loop) -> dict[str, Any]:
    """A loop in one line."""
    state = loop.state
    return {
        "loop": state.loop,
        "monitored": state.monitored_count,
        "cycles": sum(state.decisions.values()),
        "champion": state.champion,
        "drift": current(loop.scores, "drift"),
        "alignment": current(loop.scores, "alignment"),
        "coherence": current(loop.scores, "coherence"),
        "last_feedback_at": state.monitored_at.isoformat() if state.monitored_at else None,
    }


def loop_in_full(loop: Loop, candidates_max: int | None = None) -> dict[str, Any]:
    """Everything about one loop; times in ISO 8601, newest last."""
    state = loop.state
    return {
        "loop": state.loop,
        "scores": {name: loop.scores[name] for name in SCORES},
        "patterns": loop.scores.get("patterns"),
        "counts": counts(state),
        "champion": state.champion,
        "prompt": state.prompt,
        "rollback_to": state.rollback_target(),
        "cycles": [cycle.model_dump(mode="json") for cycle in state.cycles],
        "versions": versions(state, candidates_max),
        "promotions": [item.model_dump(mode="json") for item in state.promotions[-PROMOTIONS_SHOWN_MAX:]],
        "prompts": [item.model_dump(mode="json") for item in state.prompts[-PROMOTIONS_SHOWN_MAX:]],
        "evolutions": [run.model_dump(mode="json") for run in state.runs],
        "last_feedback_at": state.monitored_at.isoformat() if state.monitored_at else None,
        "last_cycle_at": state.cycled_at.isoformat() if state.cycled_at else None,
    }


def counts(state: LoopState) -> dict[str, Any]:
    """The counts of a loop; they close: monitored = trained + capped + distrusted + unlearnt + open."""
    return {
        "monitored": state.monitored_count,
        "trained": state.trained_count,
        "capped": state.capped_count,
        "distrusted": state.distrusted_count,
        "unlearnt": state.unlearnt_count,
        "open": state.open_count,
        "cycles": state.decisions,
        "unscored": state.unscored_count,
    }


def versions(state: LoopState, candidates_max: int | None = None) -> list[dict[str, Any]]:
    """The versions of a loop, oldest first, with what an operator may do with each; of mere candidates the newest ones."""
    promotable = state.promotable
    candidates = [known.version for known in state.versions if known.version not in promotable]
    left_out = set() if candidates_max is None else set(candidates[: max(0, len(candidates) - candidates_max)])
    return [
        known.model_dump(mode="json")
        | {"is_champion": known.version == state.champion, "is_promotable": known.version in promotable}
        for known in state.versions
        if known.version not in left_out
    ]


def runs(view: View) -> list[Run]:
    """The evolution runs of all loops, the last changed first."""
    found = [run for loop in view.loops().values() for run in loop.state.runs]
    return sorted(found, key=lambda run: run.changed_at, reverse=True)


def system(view: View) -> dict[str, Any]:
    """The deployment: the broker, the folds, the lags, and the counts of all loops together as of the broker's last reading."""
    reading = view.system
    return {
        "cycle_size": view.cycle_size,
        "broker": {"up": reading.is_broker_up, "reason": reading.reason},
        "partitions": [
            {"partition": number, "state": status.state, "committed_at_s": status.committed_at_s}
            for number, status in view.partitions.items()
        ],
        "counts": {outcome: reading.totals.get(outcome, 0) for outcome in OUTCOMES}
        | {name: reading.counts.get(name, 0) for name in COUNTS}
        | {"dead_letters": reading.dead_letters_count},
        "totals": dict(reading.totals),
        "lags": [
            {
                "role": lag.role,
                "partition": lag.partition,
                "stream": lag.stream,
                "entries": lag.entries_count,
                "oldest_age_s": round(lag.oldest_age_s, 3),
            }
            for lag in reading.lags
        ],
    }


def snapshot(view: View, loop: str | None) -> dict[str, Any]:
    """What the live page draws: the system, the busiest loops in one line each, and the chosen one (or the busiest) in full."""
    busiest = nlargest(LIVE_LOOPS_MAX, view.loops().values(), key=lambda item: item.state.monitored_count)
    chosen = (view.find(loop) if loop else None) or next(iter(busiest), None)
    listed = {item.state.loop: item for item in ([chosen] if chosen else []) + busiest}
    return {
        "revision": view.revision,
        "system": system(view),
        "loops": [loop_in_list(item) for _, item in sorted(listed.items())],
        "loops_count": view.loops_count,
        "chosen": loop_in_full(chosen, LIVE_CANDIDATES_MAX) if chosen else None,
    }
