"""One cycle in the making: what was asked of whom, what was decided, and the record of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from meta_learning.clrs.gating.batch import Batch
from meta_learning.clrs.gating.evaluation import Answers, ask, refusal_of
from meta_learning.clrs.gating.gates import Decision, finite_outputs
from meta_learning.clrs.loop_models import LoopModels
from meta_learning.clrs.models.port import Floats, Model, Pair
from meta_learning.clrs.perturbations import PERTURBATIONS
from meta_learning.events import CycleCompleted, FeedbackReceived, ModelPromoted, derived_id

ERROR_CHARS_MAX = 300


@dataclass(slots=True)
class Cycle:
    """What one cycle gathers on its way to its record. ``versions``: who played which part when it began."""

    loop: str
    number: int
    pending: Sequence[tuple[str, FeedbackReceived]]
    batch: Batch
    versions: dict[str, str]
    judged_version: str
    answers: Answers | None
    decision: Decision
    gate: dict[str, Any]
    control: Floats | None = None
    beginner: Floats | None = None
    perturbed: dict[str, Floats] = field(default_factory=dict)
    learnt: bool = False

    def record(self) -> CycleCompleted:
        """The event that tells it all."""
        first, last = self.pending[0], self.pending[-1]
        found, batch, left_out = self.answers, self.batch, self.batch.left_out
        return CycleCompleted(
            event_id=derived_id("cycle", self.loop, str(self.number), first[0], last[0]),
            occurred_at=last[1].occurred_at,
            loop=self.loop,
            cycle=self.number,
            first_entry=first[0],
            last_entry=last[0],
            events_count=len(batch.pairs),
            decision=self.decision.outcome,
            reasons=self.decision.reasons,
            numbers=self.decision.numbers,
            champion_version=self.versions.get("champion"),
            candidate_version=self.judged_version,
            feedback_scores=tuple(batch.scores.tolist()),
            predictions=listed(found.champion if found else None),
            candidate_predictions=listed(found.candidate if found else None),
            probe_champion=listed(found.probe_champion if found else None),
            probe_candidate=listed(found.probe_candidate if found else None),
            control_version=self.versions.get("control") if self.control is not None else None,
            control_predictions=listed(self.control),
            probe_perturbed={name: tuple(part.tolist()) for name, part in self.perturbed.items()} or None,
            shadow_version=self.versions.get("shadow"),
            shadow_predictions=listed(found.shadow if found else None),
            learner_predictions=listed(found.learner if found else None),
            trained_count=int(batch.kept.sum()) if self.learnt else 0,
            capped_count=batch.count("capped"),
            distrusted_count=batch.count("distrusted"),
            left_out=left_out,
            segments=batch.segments,
            gate=self.gate,
        )


def asked(models: LoopModels, pairs: Sequence[Pair], probe: Sequence[Pair]) -> Answers | str:
    """What the models say to a cycle and to the probe; or a sentence, if one raises or says what may not be recorded."""
    try:
        found = Answers(
            candidate=ask(models.judged, pairs),
            champion=_asked_if(models.champion, pairs),
            shadow=_asked_if(models.shadow, pairs),
            learner=ask(models.candidate, pairs) if models.challenger is not None else None,
            probe_candidate=ask(models.judged, probe),
            probe_champion=_asked_if(models.champion, probe),
        )
    except Exception as error:  # noqa: BLE001  any model may be plugged in; whatever it raises rejects its cycle
        return sentence("predict", error)
    return refusal_of(found) or found


def _asked_if(model: Model | None, pairs: Sequence[Pair]) -> Floats | None:
    return ask(model, pairs) if model is not None else None


def asked_beside(model: Model | None, pairs: Sequence[Pair]) -> Floats | None:
    """What a model says that decides nothing here; None if it has nothing to say that may be recorded."""
    if model is None or not pairs:
        return None
    try:
        found = ask(model, pairs)
    except Exception:  # noqa: BLE001  what only informs must not stop a cycle
        return None
    return found if finite_outputs(found).passed else None


def perturbed(model: Model | None, probe: Sequence[Pair]) -> dict[str, Floats]:
    """The champion's answers with the inputs of ``probe`` perturbed, one array a perturbation; asked as one batch."""
    changed = [(change(text), answer) for change in PERTURBATIONS.values() for text, answer in probe]
    found = asked_beside(model, changed)
    size = len(probe)
    if found is None:
        return {}
    return {name: found[at * size : (at + 1) * size] for at, name in enumerate(PERTURBATIONS)}


def promotion(record: CycleCompleted, cause: str, version: str) -> ModelPromoted:
    """The event of a version that took over, or took over again, at the end of a cycle."""
    return ModelPromoted(
        event_id=derived_id("promoted" if cause == "gate" else "rolled back", record.event_id),
        occurred_at=record.occurred_at,
        loop=record.loop,
        version=version,
        previous=record.champion_version,
        cause="gate" if cause == "gate" else "rollback",
    )


def listed(scores: Floats | None) -> tuple[float, ...] | None:
    """An array as an event holds it."""
    return None if scores is None else tuple(scores.tolist())


def sentence(verb: str, error: Exception) -> str:
    """What a model's exception is called in a record."""
    return f"the model could not {verb}: {type(error).__name__}: {error}"[:ERROR_CHARS_MAX]
