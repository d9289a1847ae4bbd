"""One cycle's decision as a pure function of what the gates knew before it and what they see: so it can be replayed.

A candidate is judged as it stands: it is frozen while it waits for more evidence, and what is promoted is the very version that
was compared. The learner goes on beside it, and takes its place once it is decided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from meta_learning.clrs.gating import evaluation, gates
from meta_learning.clrs.gating.baking import Baking
from meta_learning.clrs.gating.evaluation import Case
from meta_learning.clrs.gating.evidence import Evidence, listed, unlisted
from meta_learning.clrs.gating.gates import Decision
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.statistics import Moments
from meta_learning.errors import MalformedEvent
from meta_learning.events import CycleCompleted

FIRST_CYCLES = 3  # a first version is judged on the last three cycles: what came before was learnt from too little
ROLLED_BACK = "rolled back"  # how the reason of such a decision begins
ROLLED_BACK_MAX = 5  # versions that are remembered as rolled back
GATE_SETTINGS = (
    "z",
    "margin",
    "gate_error",
    "segment_margin",
    "segment_events_min",
    "behaviour_max",
    "behaviour_cycles",
    "negative_flips_max",
    "negative_flips_from",
    "distrusted_jump_max",
    "young_events",
    "young_skill",
    "window_cycles",
    "holds_max",
    "baking_cycles",
    "rollback_error",
)
USUAL_RATE = 0.2  # of the running mean of the distrusted share: a lasting one is usual after some ten cycles


@dataclass(frozen=True, slots=True)
class Docket:
    """What the gates know before a cycle.

    ``evidence``: the candidate against the champion; ``overtaking``: the learner's gains over the candidate; both over the
    ``cycles`` for which it was judged. ``firsts``: gains over the constant, while there is no grown-up champion. ``holds``: in a row.
    ``counted``: pieces of feedback whose mean the constant is. ``young``: the champion has little skill yet, see `_judge_early`.
    ``held_back``: cycles in which only its behaviour held the candidate. ``successors``: candidates that came after one which was so
    held back, while the champion is the same.
    """

    constant: float = 0.5
    evidence: Evidence = field(default_factory=Evidence)
    overtaking: Moments = field(default_factory=Moments)
    cycles: int = 0
    holds: int = 0
    firsts: tuple[Moments, ...] = ()
    baking: Baking | None = None
    rolled_back: tuple[str, ...] = ()
    distrusted_usual: float = 0.0
    counted: int | None = None
    young: bool = False
    held_back: int = 0
    successors: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            "constant": self.constant,
            "evidence": self.evidence.to_json(),
            "overtaking": listed(self.overtaking),
            "cycles": self.cycles,
            "holds": self.holds,
            "firsts": [listed(part) for part in self.firsts],
            "baking": self.baking.to_json() if self.baking is not None else None,
            "rolled_back": list(self.rolled_back),
            "distrusted_usual": self.distrusted_usual,
            "counted": self.counted,
            "young": self.young,
            "held_back": self.held_back,
            "successors": self.successors,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read `to_json` back."""
        return cls(
            float(data["constant"]),
            Evidence.from_json(data["evidence"]),
            unlisted(data["overtaking"]),
            int(data["cycles"]),
            int(data["holds"]),
            tuple(unlisted(part) for part in data["firsts"]),
            Baking.from_json(data["baking"]) if data["baking"] is not None else None,
            tuple(str(version) for version in data["rolled_back"]),
            float(data["distrusted_usual"]),
            int(data["counted"]) if data.get("counted") is not None else None,
            bool(data.get("young", False)),
            int(data.get("held_back", 0)),
            int(data.get("successors", 0)),
        )

    def fresh(self) -> Docket:
        """The same for another candidate: nothing is known about it."""
        return replace(self, evidence=Evidence(), overtaking=Moments(), cycles=0, held_back=0)

    def crowned(self) -> Docket:
        """The same for another champion: nobody was compared with it yet."""
        return replace(self.fresh(), holds=0, successors=0)


def judge(case: Case, docket: Docket, settings: LoopSettings) -> tuple[Decision, Docket]:
    """The decision on a cycle whose answers `refusal_of` let pass, and what is known after it."""
    numbers = evaluation.numbers_of(case, docket.constant)
    usual = docket.distrusted_usual + USUAL_RATE * (_distrusted(case) / len(case.true) - docket.distrusted_usual)
    baking = _baked(case, docket)
    done = baking is None or baking.cycles >= settings.baking_cycles
    after = replace(docket, baking=None if done else baking)
    if baking is not None and baking.surely_worse(settings.rollback_error):
        decision, after = _rolled_back(case, baking, after)
    elif hold := _hold_at_once(case):
        decision = Decision("held", (hold,), {})
    elif case.answers.champion is None or docket.young:
        decision, after = _judge_early(case, docket, after, settings)
    else:
        decision, after = _judge_rival(case, docket, after, settings)
    return replace(decision, numbers=decision.numbers | numbers), replace(after, distrusted_usual=usual)


def failed(decision: Decision, error: str) -> Decision:
    """The decision on a cycle that no model could learn: a rollback stands, a promotion does not."""
    return replace(
        decision,
        outcome="rejected",
        reasons=(*decision.reasons, error),
        then=decision.then if decision.then == "rollback" else "wait",
    )


def replay_decision(record: CycleCompleted) -> Decision:
    """The decision computed again from its record alone: outcome, reasons and numbers to the same bits.

    >>> from meta_learning.clrs import ClosedLoopSystem
    >>> clrs = ClosedLoopSystem(cycle_size=10)
    >>> told = [clrs.collect_feedback(f"case {n}", "yes no".split()[n % 2], n % 2) for n in range(40)]
    >>> [replay_decision(record).outcome == record.decision for record in told if record is not None]
    [True, True, True, True]

    Raises:
        MalformedEvent: the record is of a version that did not record what the gates knew.
    """
    gate, case = record.gate, evaluation.recorded_case(record)
    error = gate.get("error")
    if "before" not in gate:
        raise MalformedEvent(f"cycle {record.cycle} was recorded before its record said what the gates knew", "gate")
    docket = Docket.from_json(gate["before"])
    if case is None:
        return Decision("rejected", (str(error),), {"constant": docket.constant})
    decision, _ = judge(case, docket, LoopSettings(**gate["settings"]))
    return decision if error is None else failed(decision, str(error))


def gate_of(docket: Docket, settings: LoopSettings, error: str | None) -> dict[str, Any]:
    """What a record keeps, so that its decision can be replayed."""
    known = {"before": docket.to_json(), "settings": {name: getattr(settings, name) for name in GATE_SETTINGS}}
    return known if error is None else known | {"error": error}


def _baked(case: Case, docket: Docket) -> Baking | None:
    found, kept = case.answers, case.kept
    if docket.baking is None or found.shadow is None or found.champion is None:
        return docket.baking
    return docket.baking.observe(found.champion[kept], found.shadow[kept], case.true[kept])


def _rolled_back(case: Case, baking: Baking, after: Docket) -> tuple[Decision, Docket]:
    cycles, evidence = baking.cycles, baking.evidence
    reason = (
        f"{ROLLED_BACK}: the champion loses against the version before it; "
        f"evidence {evidence:.0f} to 1 after {cycles} cycles of baking"
    )
    known = (*after.rolled_back, str(case.champion_version))[-ROLLED_BACK_MAX:]
    decision = Decision("held", (reason,), {"baking_evidence": evidence, "baking_cycles": float(cycles)}, "rollback")
    return decision, replace(after.crowned(), baking=None, rolled_back=known)


def _hold_at_once(case: Case) -> str | None:
    same = case.candidate_version == case.champion_version
    return "the candidate is identical to the champion" if same else None


def _judge_early(case: Case, docket: Docket, after: Docket, settings: LoopSettings) -> tuple[Decision, Docket]:
    """While there is no champion, or one with little skill yet, there is little to lose: what learns must beat the constant.

    It is judged by what it said of each piece of the cycle before it learnt that piece (progressive validation, Blum et al.
    1999), and takes over as it is after the last one. Waiting for proof against each young champion would keep it in place
    for many cycles, in which the learner doubles what it knows.
    """
    gains, lost = evaluation.against_constant(case, docket.constant, docket.counted)
    firsts = (*docket.firsts, gains)[-FIRST_CYCLES:]
    known = sum(firsts, start=Moments())
    verdicts = [
        gates.beats_constant(known, settings.z),
        gates.no_poisoning(_distrusted(case), len(case.true), docket.distrusted_usual, settings),
    ]
    if case.answers.champion is not None:
        verdicts.append(gates.not_refuted(evaluation.paired(case).gains, settings.z))
    decision = gates.decide(verdicts)
    young = (docket.counted or 0) + int(case.kept.sum()) < settings.young_events
    if decision.outcome != "promoted":
        return decision, replace(after.fresh(), firsts=firsts, young=docket.young and young)
    baking = after.baking
    if baking is None and case.answers.champion is not None and settings.baking_cycles:
        baking = Baking()
    # By the lower bound: what was promoted on a lucky cycle would count as grown up, and stay for long.
    young = young and known.mean - settings.z * known.error < settings.young_skill * lost
    return decision, replace(after.crowned(), firsts=firsts, young=young, baking=baking)


def _judge_rival(case: Case, docket: Docket, after: Docket, settings: LoopSettings) -> tuple[Decision, Docket]:
    evidence, cycles = docket.evidence + evaluation.paired(case), docket.cycles + 1
    verdicts = _verdicts(case, docket, evidence, settings)
    decision = gates.decide(list(verdicts.values()))
    if decision.outcome == "promoted":
        baking = after.baking or (Baking() if settings.baking_cycles else None)
        return decision, replace(after.crowned(), firsts=(), baking=baking)
    ahead, holds = docket.overtaking + evaluation.overtaking(case), docket.holds + 1
    held_back = docket.held_back + ([name for name, one in verdicts.items() if not one.passed] == ["behaviour"])
    after = replace(after, evidence=evidence, overtaking=ahead, cycles=cycles, held_back=held_back)
    if decision.then == "drop" and holds >= settings.holds_max:
        reason = f"after {holds} holds in a row and surely worse, learning starts again from the champion"
        return replace(decision, reasons=(*decision.reasons, reason), then="restart"), replace(after.fresh(), holds=0)
    if decision.then == "wait" and (why := _makes_way(ahead, cycles, settings)):
        decision = replace(decision, reasons=(*decision.reasons, why), then="drop")
    elif decision.then == "wait" and (why := _held_back(after, settings)):
        decision = replace(decision, reasons=(*decision.reasons, why), then="drop")
        after = replace(after, successors=after.successors + 1)
    return decision, replace(after.fresh() if decision.then == "drop" else after, holds=holds)


def _makes_way(ahead: Moments, cycles: int, settings: LoopSettings) -> str | None:
    """Why a candidate that is still undecided need not be judged any longer."""
    spread = ahead.error**2 * ahead.count if ahead.count > 1 else 0.0
    if gates.weight_of_evidence(ahead, 0.0, spread) >= -math.log(settings.gate_error):
        return (
            f"the learner is better by now: Brier gain {ahead.mean:.4f} over {ahead.count} events, it takes its place"
        )
    if cycles >= settings.window_cycles:
        return f"neither proven nor refuted in {cycles} cycles, the candidate makes way for a newer one"
    return None


def _held_back(after: Docket, settings: LoopSettings) -> str | None:
    """Why a candidate that is as good as the champion, but too different to pass without being better, is not waited for any longer.

    Two answers to the same probe stay as far apart as they are; a newer candidate may be the better one. Each has twice the time of
    the one before it, so that one which gains little is proven in the end, and half its error (see `gates.not_inferior`).
    """
    ahead = after.overtaking
    is_worse = ahead.count > 1 and ahead.mean + settings.z * ahead.error < 0.0
    if is_worse or after.held_back < settings.behaviour_cycles * 2**after.successors:
        return None
    return f"held by nothing but its behaviour for {after.held_back} cycles, the candidate makes way for a newer one"


def _verdicts(case: Case, docket: Docket, evidence: Evidence, settings: LoopSettings) -> dict[str, gates.Verdict]:
    """What each gate says, by its name."""
    before, now = case.answers.probe_champion, case.answers.probe_candidate
    assert before is not None
    gain = gates.not_inferior(evidence, float(((before - now) ** 2).mean()), settings, docket.successors)
    proven = (gain.numbers["gain_low"] or -1.0) > 0.0
    verdicts = {
        "gain": gain,
        "segments": gates.no_segment_worse(evidence, settings, docket.successors),
        "behaviour": gates.behaviour_within(before, now, proven, settings.behaviour_max),
        "flips": gates.few_negative_flips(evidence, settings),
        "poisoning": gates.no_poisoning(_distrusted(case), len(case.true), docket.distrusted_usual, settings),
    }
    if case.candidate_version in docket.rolled_back and not proven:
        verdicts["rollback"] = gates.Verdict(False, "this version was rolled back and is not proven better since")
    return verdicts


def _distrusted(case: Case) -> int:
    return len(case.left_out.get("distrusted", ()))
