"""The gates: may a candidate take over? One pure function a gate, each with its reason and its numbers.

All comparisons are paired: champion and candidate were asked about the same events, before either learnt from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.statistics import Moments, binned, js_distance

Outcome: TypeAlias = Literal["promoted", "held", "rejected"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate says: whether the candidate may pass, a sentence with the numbers, and the numbers."""

    passed: bool
    reason: str
    numbers: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What all gates together say."""

    outcome: Outcome
    reasons: tuple[str, ...]
    numbers: dict[str, float | None]


def decide(verdicts: Sequence[Verdict]) -> Decision:
    """Promote when every gate passed; otherwise hold, with the reasons of those that did not.

    >>> decide([Verdict(True, "fine"), Verdict(False, "too wild")]).reasons
    ('too wild',)
    """
    numbers = {name: value for verdict in verdicts for name, value in verdict.numbers.items()}
    refusals = tuple(verdict.reason for verdict in verdicts if not verdict.passed)
    if refusals:
        return Decision("held", refusals, numbers)
    return Decision("promoted", tuple(verdict.reason for verdict in verdicts), numbers)


def losses(predicted: Floats, true: Floats) -> Floats:
    """Squared errors; their mean is the Brier score (Brier 1950)."""
    return (predicted - true) ** 2


def beats_constant(gains: Moments, z: float) -> Verdict:
    """With no champion: the candidate must surely beat the running mean. ``gains``: constant's loss minus its own, per event.

    >>> beats_constant(Moments.of(np.array([0.1, 0.2] * 50)), 1.645).passed
    True
    """
    low = _low(gains, z)
    numbers = {
        "gain_over_constant": gains.mean,
        "gain_over_constant_low": _finite(low),
        "gain_pairs": float(gains.count),
    }
    beaten = low > 0.0
    verb = "beats" if beaten else "does not surely beat"
    return Verdict(
        beaten,
        f"the candidate {verb} the constant predictor: "
        f"Brier gain {gains.mean:.4f}, lower bound {_text(low)}, over {gains.count} events",
        numbers,
    )


def not_inferior(gains: Moments, now: Moments, settings: LoopSettings) -> Verdict:
    """With a champion: surely not worse than it by more than a margin since the last promotion, nor surely worse now.

    ``gains``: the champion's loss minus the candidate's, per event since the last promotion; ``now``: this cycle's alone.
    The margin is ``settings.margin`` at 1,000 pairs and shrinks with the root of their number, as the noise does.
    """
    margin = settings.margin * math.sqrt(1000 / max(gains.count, 1))
    low, now_high = _low(gains, settings.z), now.mean + settings.z * (now.error if now.count > 1 else math.inf)
    numbers = {
        "gain": gains.mean,
        "gain_low": _finite(low),
        "gain_margin": margin,
        "gain_pairs": float(gains.count),
        "cycle_gain": now.mean,
        "cycle_gain_high": _finite(now_high),
    }
    if now_high < 0.0:
        return Verdict(
            False,
            f"this cycle alone shows the candidate worse than the champion: Brier gain {now.mean:.4f}, upper bound {_text(now_high)}",
            numbers,
        )
    passed = low > -margin
    verb = "is not worse than" if passed else "may be worse than"
    return Verdict(
        passed,
        f"the candidate {verb} the champion: Brier gain {gains.mean:.4f}, "
        f"lower bound {_text(low)} against -{margin:.4f}, over {gains.count} events",
        numbers,
    )


def behaviour_within(champion: Floats, candidate: Floats, proven: bool, limit: float) -> Verdict:
    """The answers on the fixed probe may not move further than ``limit``, unless the candidate is *proven* better.

    Without that exception a champion from before a change in the world could never be replaced.
    """
    distance = js_distance(binned(champion), binned(candidate))
    numbers: dict[str, float | None] = {
        "behaviour_js": distance,
        "churn": float(((champion >= 0.5) != (candidate >= 0.5)).mean()),
    }
    where = f"Jensen-Shannon distance {distance:.3f} on {len(champion)} probe items, limit {limit:.2f}"
    if distance <= limit:
        return Verdict(True, f"behaviour moved within its limit: {where}", numbers)
    if proven:
        return Verdict(True, f"behaviour moved beyond its limit, by a candidate proven better: {where}", numbers)
    return Verdict(False, f"behaviour moved too far: {where}", numbers)


def few_negative_flips(flips: int, judged: int, settings: LoopSettings) -> Verdict:
    """Few items that the champion had right may be wrong now (Positive-Congruent Training, arXiv 2011.09161).

    A rate of 2 % cannot be told from 0 on a hundred items, so the limit binds from ``negative_flips_from`` items on.
    """
    rate = flips / judged if judged else 0.0
    numbers: dict[str, float | None] = {"negative_flips": rate, "negative_flips_judged": float(judged)}
    if judged < settings.negative_flips_from or rate <= settings.negative_flips_max:
        return Verdict(True, f"negative flips {rate:.1%} of {judged} judged items", numbers)
    limit = settings.negative_flips_max
    return Verdict(False, f"too many negative flips: {rate:.1%} of {judged} judged items, limit {limit:.1%}", numbers)


def count_negative_flips(champion: Floats, candidate: Floats, true: Floats) -> int:
    """Items where the champion was on the right side of 0.5 and the candidate is not.

    >>> count_negative_flips(np.array([0.9, 0.1]), np.array([0.2, 0.2]), np.array([1.0, 0.0]))
    1
    """
    liked = true >= 0.5
    return int((((champion >= 0.5) == liked) & ((candidate >= 0.5) != liked)).sum())


def finite_outputs(outputs: Floats, whose: str = "candidate") -> Verdict:
    """Every prediction is a finite number in [0, 1]."""
    good = bool(np.isfinite(outputs).all()) and bool(((outputs >= 0.0) & (outputs <= 1.0)).all())
    return Verdict(
        good, "all outputs are in [0, 1]" if good else f"the {whose}'s outputs are not all finite numbers in [0, 1]"
    )


def _low(gains: Moments, z: float) -> float:
    return gains.mean - z * gains.error if gains.count > 1 else -math.inf


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _text(number: float) -> str:
    return f"{number:.4f}" if math.isfinite(number) else "unknown"
