"""The gates: may a candidate take over? One pure function a gate, each with its reason and its numbers.

All comparisons are paired: champion and candidate were asked about the same events, before either learnt from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from meta_learning.clrs.gating.evidence import Evidence
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.statistics import Moments, binned, js_distance

Outcome: TypeAlias = Literal["promoted", "held", "rejected"]
Then: TypeAlias = Literal["wait", "drop", "restart", "rollback"]
GAINS = (0.1, 0.2, 0.4, 0.8)
TINY = 1e-12
# Margins are shares of the champion's Brier score within these bounds: below the lower one they would mean nothing any more,
# and above what a constant 0.5 has on 0 and 1, the champion is no measure.
LOSS_MIN, LOSS_MAX = 0.05, 0.25


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate says: whether the candidate may pass, a sentence with the numbers, and the numbers.

    ``hopeless``: more events would not help, this very candidate need not be asked again.
    """

    passed: bool
    reason: str
    numbers: dict[str, float | None] = field(default_factory=dict)
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What all gates together say, and what follows for the candidate.

    ``wait``: it is asked again (or took over); ``drop``: the learner takes its place; ``restart``: learning starts again from the
    champion; ``rollback``: so it does, and the champion is the shadow.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    numbers: dict[str, float | None]
    then: Then = "wait"


def decide(verdicts: Sequence[Verdict]) -> Decision:
    """Promote when every gate passed; otherwise hold, with the reasons of those that did not.

    >>> decide([Verdict(True, "fine"), Verdict(False, "too wild")]).reasons
    ('too wild',)
    """
    numbers = {name: value for verdict in verdicts for name, value in verdict.numbers.items()}
    refusals = tuple(verdict.reason for verdict in verdicts if not verdict.passed)
    if refusals:
        hopeless = any(verdict.hopeless for verdict in verdicts)
        return Decision("held", refusals, numbers, "drop" if hopeless else "wait")
    return Decision("promoted", tuple(verdict.reason for verdict in verdicts), numbers)


def beats_constant(gains: Moments, z: float) -> Verdict:
    """With no champion: the candidate must surely beat the running mean. ``gains``: constant's loss minus its own, per event.

    >>> beats_constant(Moments.of(np.array([0.1, 0.2] * 50)), 1.645).passed
    True
    """
    low = gains.mean - z * gains.error if gains.count > 1 else -math.inf
    numbers = {
        "gain_over_constant": gains.mean,
        "gain_over_constant_low": _finite(low),
        "gain_pairs": float(gains.count),
    }
    beaten = low > 0.0
    verb = "beats" if beaten else "does not surely beat"
    bound = f"{low:.4f}" if math.isfinite(low) else "unknown"
    return Verdict(
        beaten,
        f"the candidate {verb} the constant predictor: "
        f"Brier gain {gains.mean:.4f}, lower bound {bound}, over {gains.count} events",
        numbers,
    )


def not_refuted(gains: Moments, z: float) -> Verdict:
    """What replaces a young champion may not surely be worse than it; little can be lost, and more feedback nearly always helps."""
    high = gains.mean + z * gains.error if gains.count > 1 else math.inf
    numbers: dict[str, float | None] = {"gain": gains.mean, "gain_pairs": float(gains.count)}
    verb = "is worse than" if high < 0.0 else "is not refuted against"
    said = (
        f"the candidate {verb} a champion that is young itself: Brier gain {gains.mean:.4f} over {gains.count} events"
    )
    return Verdict(high >= 0.0, said, numbers)


def weight_of_evidence(gains: Moments, margin: float, spread: float) -> float:
    """Log evidence for "loses nothing" against "loses ``margin``" an event, whose variance is ``spread``.

    A mixture of likelihood ratios (Robbins 1970, normal approximation): half of it on a gain of exactly nothing, the rest on
    gains of 0.1 to 0.8 standard deviations. A candidate that does lose ``margin`` reaches log(1/e) in a share e of all cases
    at most, however often one looks. The nearer the two models' answers, the fewer events it takes.

    >>> round(weight_of_evidence(Moments.of(np.array([0.1, -0.1] * 500)), 0.02, 0.01), 1)
    19.3
    """
    spread = max(spread, TINY)
    gained = [0.0, *(share * math.sqrt(spread) for share in GAINS)]
    ratios = [gains.count * (gain + margin) * (gains.mean - (gain - margin) / 2.0) / spread for gain in gained]
    shares = [0.5, *(0.5 / len(GAINS) for _ in GAINS)]
    most = max(ratios)
    return most + math.log(
        math.fsum(share * math.exp(ratio - most) for share, ratio in zip(shares, ratios, strict=True))
    )


def both_ways(gains: Moments, margin: float, spread: float) -> tuple[float, float]:
    """The evidence for "loses nothing" against "loses ``margin``", and that for the second against the first.

    >>> [round(way, 1) for way in both_ways(Moments.of(np.array([-0.12, 0.08] * 500)), 0.02, 0.01)]
    [-20.7, 19.3]
    """
    if gains.count < 2:
        return 0.0, 0.0
    mirrored = Moments(gains.count, -gains.total - margin * gains.count, 0.0)
    return weight_of_evidence(gains, margin, spread), weight_of_evidence(mirrored, margin, spread)


def not_inferior(evidence: Evidence, moved: float, settings: LoopSettings, successors: int = 0) -> Verdict:
    """The candidate surely does not lose ``settings.margin`` of the champion's own loss.

    ``successors``: candidates before it that made way for it though they had passed. Each passes with half the error of the one
    before it, so that all of them together err no oftener than the first.

    ``moved``: mean squared difference of the two on the probe. It needs no labels, and keeps a hundred events among which the
    few that changed happen to be missing from looking like certainty.
    """
    gains, margin = evidence.gains, settings.margin * _loss(evidence)
    # The gain is (difference of answers) * (sum of both errors); the mean square of the latter is four times the Brier score.
    measured = gains.error**2 * gains.count if gains.count > 1 else 0.0
    good, bad = both_ways(gains, margin, max(measured, 4.0 * moved * evidence.champion_loss))
    limit = -math.log(settings.gate_error)
    numbers: dict[str, float | None] = {
        "gain": gains.mean,
        "gain_low": _finite(gains.mean - settings.z * gains.error),
        "gain_margin": margin,
        "gain_pairs": float(gains.count),
        "gain_evidence": good,
        "loss_evidence": bad,
    }
    passed, hopeless = good >= limit + successors * math.log(2.0) and bad < limit, bad >= limit
    verb = "is not worse than" if passed else "is worse than" if hopeless else "is not yet shown to be as good as"
    reason = (
        f"the candidate {verb} the champion: Brier gain {gains.mean:.4f} over {gains.count} events, "
        f"evidence {_odds(good)} that it does not lose {margin:.4f}"
    )
    return Verdict(passed, reason, numbers, hopeless)


def no_segment_worse(evidence: Evidence, settings: LoopSettings, successors: int = 0) -> Verdict:
    """In no segment with enough events does the candidate lose much; means and variances are shrunk towards those of all.

    ``successors``: as in `not_inferior`.
    """
    margin = settings.segment_margin * _loss(evidence)
    limit = -math.log(settings.gate_error)
    judged = {
        name: both_ways(shrunk, margin, spread)
        for name, (shrunk, spread) in _shrunk(evidence, settings.segment_events_min).items()
    }
    if not judged:
        return Verdict(True, "no segment has enough events to be judged by itself", {"segments_judged": 0.0})
    worst = min(judged, key=lambda name: (judged[name][0], name))
    (good, _), found = judged[worst], evidence.segments[worst]
    # The more segments, the likelier one of them looks bad by chance.
    ruined = [name for name, (_, bad) in judged.items() if bad >= limit + math.log(len(judged))]
    numbers: dict[str, float | None] = {
        "segments_judged": float(len(judged)),
        "worst_segment_gain": found.mean,
        "worst_segment_events": float(found.count),
        "worst_segment_evidence": good,
    }
    passed = good >= limit + successors * math.log(2.0) and not ruined
    verb = "no segment is worse" if passed else "a segment is worse" if ruined else "a segment may be worse"
    said = f"{verb}: in {worst!r} Brier gain {found.mean:.4f} over {found.count} events, evidence {_odds(good)}"
    return Verdict(passed, said, numbers, bool(ruined))


def _shrunk(evidence: Evidence, events_min: int) -> Mapping[str, tuple[Moments, float]]:
    """Per segment its moments with ``events_min`` events of the general kind mixed into mean and variance."""
    general = evidence.gains
    spread = general.error**2 * general.count if general.count > 1 else 0.0
    result = {}
    for name, part in evidence.segments.items():
        if part.count < max(events_min, 2):
            continue
        share = part.count / (part.count + events_min)
        mean = share * part.mean + (1.0 - share) * general.mean
        variance = share * part.error**2 * part.count + (1.0 - share) * spread
        result[name] = Moments(part.count, mean * part.count, 0.0), variance
    return result


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


def few_negative_flips(evidence: Evidence, settings: LoopSettings) -> Verdict:
    """Few items that the champion had right may be wrong now (Positive-Congruent Training, arXiv 2011.09161).

    Judged by the flips that flips to the better do not make up for: two models that learnt equally well from other data
    differ in a tenth of all items. A rate of 2 % cannot be told from 0 on a hundred items, so the limit binds from
    ``negative_flips_from`` items on.
    """
    judged = evidence.gains.count
    rate, better = (count / max(judged, 1) for count in (evidence.negative_flips, evidence.positive_flips))
    numbers: dict[str, float | None] = {
        "negative_flips": rate,
        "positive_flips": better,
        "negative_flips_judged": float(judged),
    }
    said = f"{rate:.1%} negative and {better:.1%} positive flips of {judged} judged items"
    if judged < settings.negative_flips_from or rate - better <= settings.negative_flips_max:
        return Verdict(True, said, numbers)
    return Verdict(False, f"too many negative flips: {said}, limit {settings.negative_flips_max:.1%} more", numbers)


def no_poisoning(distrusted: int, events: int, usual: float, settings: LoopSettings) -> Verdict:
    """No jump in the share of feedback from distrusted users: somebody may be teaching the candidate what they want.

    ``usual``: the running share of earlier cycles, which a lasting share reaches after some cycles; then this gate opens.
    """
    share = distrusted / max(events, 1)
    error = math.sqrt(max(usual * (1.0 - usual), 0.25 / max(events, 1)) / max(events, 1))
    limit = usual + max(settings.distrusted_jump_max, 3.0 * error)
    numbers: dict[str, float | None] = {"distrusted_share": share, "distrusted_usual": usual}
    said = f"{share:.0%} of the cycle's feedback came from distrusted users, usually {usual:.0%}"
    return Verdict(share <= limit, said if share <= limit else f"possible poisoning: {said}", numbers)


def finite_outputs(outputs: Floats, whose: str = "candidate") -> Verdict:
    """Every prediction is a finite number in [0, 1]."""
    good = bool(np.isfinite(outputs).all()) and bool(((outputs >= 0.0) & (outputs <= 1.0)).all())
    return Verdict(
        good, "all outputs are in [0, 1]" if good else f"the {whose}'s outputs are not all finite numbers in [0, 1]"
    )


def count_negative_flips(champion: Floats, candidate: Floats, true: Floats) -> int:
    """Items where the champion was on the right side of 0.5 and the candidate is not.

    >>> count_negative_flips(np.array([0.9, 0.1]), np.array([0.2, 0.2]), np.array([1.0, 0.0]))
    1
    """
    liked = true >= 0.5
    return int((((champion >= 0.5) == liked) & ((candidate >= 0.5) != liked)).sum())


def _loss(evidence: Evidence) -> float:
    return min(max(evidence.champion_loss, LOSS_MIN), LOSS_MAX)


def _odds(evidence: float) -> str:
    odds = math.exp(min(evidence, 13.8))
    return f"{odds:,.0f} to 1" if odds >= 100 else f"{odds:.3g} to 1"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
