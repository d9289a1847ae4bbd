"""Asking champion, candidate and shadow about a cycle before any of them learns from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.gating import gates
from meta_learning.clrs.gating.batch import Batch, kept_of
from meta_learning.clrs.gating.evidence import Evidence, losses
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.statistics import Moments, concordance
from meta_learning.events import CycleCompleted


@dataclass(frozen=True, slots=True)
class Answers:
    """What was predicted for a cycle and for the probe, rounded to six decimals: the very numbers that the event records."""

    candidate: Floats
    probe_candidate: Floats
    champion: Floats | None = None
    probe_champion: Floats | None = None
    shadow: Floats | None = None
    learner: Floats | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """All that the gates see of one cycle; live, and again from its record."""

    answers: Answers
    true: Floats
    left_out: Mapping[str, tuple[int, ...]]
    segments: Mapping[str, tuple[int, ...]]
    cycle: int
    champion_version: str | None
    candidate_version: str

    @property
    def kept(self) -> NDArray[np.bool_]:
        """The events that count."""
        return kept_of(len(self.true), dict(self.left_out))


def ask(model: Model, pairs: Sequence[Pair]) -> Floats:
    """Predictions rounded to six decimals, so that a decision can be replayed from the numbers in its event."""
    scores = np.asarray(model.predict(pairs), dtype=np.float64)
    if scores.shape != (len(pairs),):
        raise ValueError(f"the model predicted an array of shape {scores.shape} for {len(pairs)} pairs")
    return np.round(scores, 6)


def refusal_of(found: Answers) -> str | None:
    """Why these answers may not even be recorded; None when all of them are finite numbers in [0, 1]."""
    asked = {
        "candidate": (found.candidate, found.probe_candidate),
        "champion": (found.champion, found.probe_champion),
        "shadow": (found.shadow,),
        "learner": (found.learner,),
    }
    for name, parts in asked.items():
        verdict = gates.finite_outputs(
            np.concatenate([part for part in parts if part is not None] or [np.zeros(0)]), name
        )
        if not verdict.passed:
            return verdict.reason
    return None


def case_of(batch: Batch, found: Answers, cycle: int, champion: str | None, candidate: str) -> Case:
    """The case of a cycle that just filled up."""
    return Case(found, batch.scores, batch.left_out, batch.segments, cycle, champion, candidate)


def recorded_case(record: CycleCompleted) -> Case | None:
    """The case as it was; None where the record holds no answers, because a model could not give any."""
    if record.candidate_predictions is None or record.probe_candidate is None or record.candidate_version is None:
        return None
    found = Answers(
        candidate=np.array(record.candidate_predictions),
        probe_candidate=np.array(record.probe_candidate),
        champion=_array(record.predictions),
        probe_champion=_array(record.probe_champion),
        shadow=_array(record.shadow_predictions),
        learner=_array(record.learner_predictions),
    )
    return Case(
        found,
        np.array(record.feedback_scores),
        record.left_out,
        record.segments,
        record.cycle,
        record.champion_version,
        record.candidate_version,
    )


def paired(case: Case) -> Evidence:
    """The candidate against the champion on the events that count."""
    kept, found = case.kept, case.answers
    assert found.champion is not None
    position = np.cumsum(kept) - 1
    segments = {name: [position[at] for at in places if kept[at]] for name, places in case.segments.items()}
    known = {name: places for name, places in segments.items() if places}
    return Evidence.of(found.champion[kept], found.candidate[kept], case.true[kept], known)


def against_constant(case: Case, constant: float, counted: int | None) -> tuple[Moments, float]:
    """The candidate's gains over a constant predictor on the events that count, and the predictor's Brier score there.

    It learns too: ``constant`` is the mean of ``counted`` pieces of feedback before, and moves with each one of the cycle. With
    None it stands still.
    """
    true, mine = case.true[case.kept], case.answers.candidate[case.kept]
    flat = np.full(len(true), constant)
    if counted is not None and len(true):
        before = np.concatenate([[0.0], np.cumsum(true)[:-1]])
        seen = counted + np.arange(len(true))
        flat = np.where(seen > 0, (constant * counted + before) / np.maximum(seen, 1), constant)
    lost = losses(flat, true)
    return Moments.of(lost - losses(mine, true)), float(lost.mean()) if len(true) else 0.0


def overtaking(case: Case) -> Moments:
    """The learner's gains over the frozen candidate on the events that count; of nothing, if the candidate is the learner."""
    if case.answers.learner is None:
        return Moments()
    true, kept = case.true[case.kept], case.kept
    return Moments.of(losses(case.answers.candidate[kept], true) - losses(case.answers.learner[kept], true))


def numbers_of(case: Case, constant: float) -> dict[str, float | None]:
    """Brier score and concordance of champion, candidate and constant predictor on the whole cycle."""
    flat = np.full(len(case.true), constant)
    named: dict[str, Any] = {"champion": case.answers.champion, "candidate": case.answers.candidate, "constant": flat}
    result: dict[str, float | None] = {"constant": constant}
    for name, predicted in named.items():
        if predicted is None:
            continue
        result[f"brier_{name}"] = float(losses(predicted, case.true).mean())
        ordered = concordance(predicted, case.true) if name != "constant" else None
        result[f"concordance_{name}"] = ordered.value if ordered else None
    return result


def _array(numbers: Sequence[float] | None) -> Floats | None:
    return None if numbers is None else np.array(numbers, dtype=np.float64)
