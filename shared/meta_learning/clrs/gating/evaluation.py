"""Asking champion and candidate about a cycle before either learns from it, and letting the gates decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_learning.clrs.gating import gates
from meta_learning.clrs.gating.batch import Batch
from meta_learning.clrs.loop_state import CycleEvidence, LoopState
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.statistics import Moments, concordance

FIRST_CYCLES = 3  # a first version is judged on the last three cycles: what came before was learnt from too little


@dataclass(frozen=True, slots=True)
class Answers:
    """What was predicted for a cycle and for the probe, rounded to six decimals: the very numbers that the event records."""

    candidate: Floats
    probe_candidate: Floats
    champion: Floats | None = None
    probe_champion: Floats | None = None


def ask(model: Model, pairs: list[Pair] | tuple[Pair, ...]) -> Floats:
    """Predictions rounded to six decimals, so that a decision can be replayed from the numbers in its event."""
    scores = np.asarray(model.predict(pairs), dtype=np.float64)
    if scores.shape != (len(pairs),):
        raise ValueError(f"the model predicted an array of shape {scores.shape} for {len(pairs)} pairs")
    return np.round(scores, 6)


def answers(champion: Model | None, candidate: Model, batch: Batch, probe: list[Pair]) -> Answers:
    """Both models on the batch and on the probe; neither has seen the batch before."""
    if champion is None:
        return Answers(ask(candidate, batch.pairs), ask(candidate, probe))
    return Answers(
        candidate=ask(candidate, batch.pairs),
        champion=ask(champion, batch.pairs),
        probe_candidate=ask(candidate, probe),
        probe_champion=ask(champion, probe),
    )


def refusal_of(found: Answers) -> str | None:
    """Why these answers may not even be recorded; None when all of them are finite numbers in [0, 1]."""
    asked = {"candidate": (found.candidate, found.probe_candidate), "champion": (found.champion, found.probe_champion)}
    for name, parts in asked.items():
        verdict = gates.finite_outputs(
            np.concatenate([part for part in parts if part is not None] or [np.zeros(0)]), name
        )
        if not verdict.passed:
            return verdict.reason
    return None


def evidence_of(found: Answers, batch: Batch, constant: float) -> CycleEvidence:
    """The candidate's gain over its rival (the champion; without one, the constant predictor) on the kept events."""
    true = batch.scores[batch.kept]
    mine = found.candidate[batch.kept]
    rival = found.champion[batch.kept] if found.champion is not None else np.full(len(true), constant)
    gains = Moments.of(gates.losses(rival, true) - gates.losses(mine, true))
    return CycleEvidence(gains, gates.count_negative_flips(rival, mine, true))


def judge(found: Answers, state: LoopState, settings: LoopSettings) -> gates.Decision:
    """Every gate on answers that `refusal_of` let pass, and on the evidence since the last promotion (its last is this cycle's)."""
    if found.champion is None or found.probe_champion is None:
        recent = sum((part.gains for part in state.evidence[-FIRST_CYCLES:]), start=Moments())
        return gates.decide([gates.beats_constant(recent, settings.z)])
    total = sum((part.gains for part in state.evidence), start=Moments())
    flips = sum(part.flips for part in state.evidence)
    gain = gates.not_inferior(total, state.evidence[-1].gains, settings)
    proven = (gain.numbers["gain_low"] or -1.0) > 0.0
    return gates.decide(
        [
            gain,
            gates.behaviour_within(found.probe_champion, found.probe_candidate, proven, settings.behaviour_max),
            gates.few_negative_flips(flips, total.count, settings),
        ]
    )


def numbers_of(found: Answers, batch: Batch, constant: float) -> dict[str, float | None]:
    """Brier score and concordance of champion, candidate and constant predictor on the whole cycle."""
    flat = np.full(len(batch.scores), constant)
    named: dict[str, Any] = {"champion": found.champion, "candidate": found.candidate, "constant": flat}
    result: dict[str, float | None] = {"constant": constant}
    for name, predicted in named.items():
        if predicted is None:
            continue
        result[f"brier_{name}"] = float(gates.losses(predicted, batch.scores).mean())
        ordered = concordance(predicted, batch.scores) if name != "constant" else None
        result[f"concordance_{name}"] = ordered.value if ordered else None
    return result
