"""How a candidate learns one cycle: a copy does, and counts only if it can still answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from meta_learning.clrs.cycle import Cycle, sentence
from meta_learning.clrs.gating.batch import Batch
from meta_learning.clrs.gating.evaluation import ask, refusal_of
from meta_learning.clrs.models.port import Floats, Model, Pair

PIECES = 4  # of a cycle, each predicted before it is learnt, while there is no grown-up champion


@dataclass(frozen=True, slots=True)
class Lesson:
    """What came of one cycle: the pupil (``start`` itself, if it could not learn), its new ``version``, and what went wrong.

    ``said``: what it predicted of each event that may train before it learnt that piece of the cycle, if it learnt in pieces.
    """

    pupil: Model
    version: str | None = None
    trouble: str | None = None
    said: Floats | None = None


def taught(start: Model, batch: Batch, old: tuple[list[Pair], Floats], pieces: int = 1) -> Lesson:
    """A copy of ``start`` that has learnt what may train of ``batch``, and then ``old``, pieces of earlier feedback."""
    pairs, targets = batch.kept_pairs, batch.scores[batch.kept]
    if not pairs:
        return Lesson(start)
    said = []
    try:
        pupil = start.copy()
        for part in np.array_split(np.arange(len(pairs)), min(pieces, len(pairs))):
            lesson = [pairs[at] for at in part]
            if pieces > 1:
                said.append(ask(pupil, lesson))
            pupil.learn(lesson, targets[part])
        if old[0]:
            pupil.learn(*old)
        if not np.isfinite(np.asarray(pupil.predict(pairs))).all():
            raise FloatingPointError("after learning, the outputs are not all finite numbers")
        return Lesson(pupil, pupil.version(), None, np.concatenate(said) if said else None)
    except Exception as error:  # noqa: BLE001  any model may be plugged in; whatever it raises rejects its cycle
        return Lesson(start, trouble=sentence("learn", error))


def judge_pupil(cycle: Cycle, lesson: Lesson, probe: Sequence[Pair]) -> str | None:
    """Have the gates judge what has just learnt, by what it said before; why not, if it says what may not be recorded."""
    if cycle.answers is None or lesson.said is None or lesson.version is None:
        return None
    said = cycle.answers.candidate.copy()
    said[cycle.batch.kept] = lesson.said
    try:
        found = replace(cycle.answers, candidate=said, probe_candidate=ask(lesson.pupil, probe))
    except Exception as error:  # noqa: BLE001  any model may be plugged in; whatever it raises rejects its cycle
        return sentence("predict", error)
    refusal = refusal_of(found)
    if refusal is None:
        cycle.answers, cycle.judged_version = found, lesson.version
    return refusal
