"""Five kinds of drift, each in [0, 1] with a null of its own, and the largest of them as the drift score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.drift.alarm_rule import Alarm, AlarmRule
from meta_learning.clrs.drift.behaviour_drift import BehaviourDrift
from meta_learning.clrs.drift.loop_drift import LoopDrift
from meta_learning.clrs.drift.skill_drift import SkillDrift
from meta_learning.clrs.drift.text_drift import TextDrift
from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.models.port import Floats

KINDS = ("input", "output", "behaviour", "concept", "performance")
TEXTS = ("input", "output")


class Scored(NamedTuple):
    """Predictions made before learning, what the constant predictor says, what users said, and whom to believe (all if None)."""

    predictions: Floats
    constant: float
    true: Floats
    believed: NDArray[np.bool_] | None = None


class DriftDetector:
    """Folds batches of a loop's traffic; leave out what you do not have, and its kinds stay None.

    | kind | what moved | its null | 0.3 means |
    |---|---|---|---|
    | input, output | the texts asked, answered (`TextDrift`) | window and reference are drawn alike | an AUROC of 0.65 |
    | behaviour | answers on a fixed probe, against earlier ones (`BehaviourDrift`) | the same answers | a quarter moved by 0.6 |
    | concept | what is right: the error rose for sure (`SkillDrift`) | errors of a constant mean | 30 % of the skill is gone |
    | performance | lower 99 % bound of the share of skill lost (`SkillDrift`) | no skill lost | 30 % is surely gone |

    The threshold is a size; an alarm needs evidence, and has a budget of false ones over all kinds (`AlarmRule`). On streams
    without drift no score exceeds 0.3 in more than 1 % of windows (`benchmarks/monitor/null_drift.py`).

    >>> detector = DriftDetector(reference_size=120, window_size=30)
    >>> detector.update(input_texts=["my parcel is late"] * 60)
    >>> detector.update(input_texts=["guten Morgen"] * 30)
    >>> detector.result()["set_by"], detector.score(), detector.alarms[0].kind, detector.alarms[0].since
    ('input', 1.0, 'input', 60)
    """

    def __init__(
        self,
        threshold: float = 0.3,
        reference_size: int = 1000,
        window_size: int = 100,
        seed: int = 0,
        run_length: float = 50_000.0,
    ) -> None:
        self.threshold = threshold
        self.rule = AlarmRule(run_length)
        self.events = 0
        self.input = TextDrift(reference_size, window_size, seed, self.rule.level("input", window_size))
        self.output = TextDrift(reference_size, window_size, seed + 1, self.rule.level("output", window_size))
        self.behaviour = BehaviourDrift()
        self.skill = SkillDrift(run_length=self.rule.concept_run_length)
        self.loop = LoopDrift()

    def update(
        self,
        *,
        input_texts: Sequence[str] = (),
        output_texts: Sequence[str] = (),
        probe_answers: Floats | None = None,
        scored: Scored | tuple[Floats, float, Floats] | None = None,
        segments: Sequence[str | None] | None = None,
        control: tuple[str, Floats] | None = None,
    ) -> None:
        """Fold one batch.

        ``probe_answers``: the champion's scores of the fixed probe. ``scored``: its predictions for the batch, made before it
        was learnt, what the constant predictor says, the true scores, and which of them are believed (`Scored`).
        ``segments``: the segment of each event. ``control``: the frozen version that is the control arm, and its predictions
        for the same events.
        """
        self.events += max(len(input_texts), len(output_texts), len(scored[2]) if scored else 0)
        for kind, texts in (("input", input_texts), ("output", output_texts)):
            if texts:
                self._fold_texts(kind, texts, segments)
        if probe_answers is not None:
            self.behaviour.update(probe_answers)
            self._judge("behaviour", self.behaviour.result().current)
        if scored is not None:
            self._fold_scored(Scored(*scored), segments, control)

    def _fold_texts(self, kind: str, texts: Sequence[str], segments: Sequence[str | None] | None) -> None:
        drift = self._texts(kind)
        before = drift.windows
        drift.update(texts, segments)
        if drift.windows == before or not self.rule.raised(kind, drift.p_value, drift.window_size):
            return
        since = max(self.events - drift.since_windows * max(drift.window_size, len(texts)), 0)
        evidence, score = drift.p_value or 0.0, drift.result().current
        self.rule.keep(Alarm(kind, self.events, since, score, evidence, tuple(drift.moved), drift.segment))

    def _fold_scored(
        self,
        scored: Scored,
        segments: Sequence[str | None] | None,
        control: tuple[str, Floats] | None,
    ) -> None:
        kept = np.ones(len(scored.true), dtype=np.bool_) if scored.believed is None else scored.believed
        predictions, constant, true = scored.predictions[kept], scored.constant, scored.true[kept]
        named = None if segments is None else [segments[place] for place in np.flatnonzero(kept).tolist()]
        alarmed = self.skill.update(predictions, constant, true, named)
        if control is not None:
            self.loop.update(control[0], (predictions - true) ** 2, (control[1][kept] - true) ** 2)
        if alarmed:
            since = self.events - self.skill.seen + (self.skill.changed_at or 0)
            self._keep("concept", since, self.skill.concept().current, 1.0)
        self._judge("performance", self.skill.performance().current)

    def _judge(self, kind: str, score: float | None) -> None:
        if self.rule.exceeded(kind, score, self.threshold):
            self._keep(kind, self.events, score, score or 0.0)

    def _keep(self, kind: str, since: int, score: float | None, evidence: float) -> None:
        segment = self.skill.segments.worst() if kind != "behaviour" else None
        self.rule.keep(Alarm(kind, self.events, since, score, evidence, (), segment, self.loop.result()["cause"]))

    def _texts(self, kind: str) -> TextDrift:
        return self.input if kind == "input" else self.output

    @property
    def alarms(self) -> list[Alarm]:
        """The last alarms, oldest first."""
        return self.rule.alarms

    def kinds(self) -> dict[str, Estimate]:
        """The estimate of each kind."""
        found = (
            self.input.result(),
            self.output.result(),
            self.behaviour.result(),
            self.skill.concept(),
            self.skill.performance(),
        )
        return dict(zip(KINDS, found, strict=True))

    def score(self) -> float | None:
        """The largest kind's score; None while all are collecting."""
        current = self.result()["current"]
        return None if current is None else float(current)

    def result(self) -> dict[str, Any]:
        """The score with n, interval, all kinds, the kind that set it, and whether it exceeds the threshold."""
        kinds = self.kinds()
        known = {name: kind.current for name, kind in kinds.items() if kind.current is not None}
        set_by = max(known, key=lambda name: known[name]) if known else None
        top = kinds[set_by] if set_by else Estimate.collecting(max(kind.n for kind in kinds.values()))
        return {
            **top.as_dict(),
            "set_by": set_by if top.current else None,
            "drifted": top.current is not None and top.current > self.threshold,
            "threshold": self.threshold,
            "kinds": {name: kind.current for name, kind in kinds.items()},
            "details": {name: kind.as_dict() for name, kind in kinds.items()},
            "p_values": {"input": self.input.p_value, "output": self.output.p_value},
            "concept_evidence": self.skill.evidence,
            "alarms": self.rule.count,
            "raised": [asdict(alarm) | {"words": [list(moved) for moved in alarm.words]} for alarm in self.rule.alarms],
            "run_length": self.rule.run_length,
            "cause": self.loop.result(),
        }

    def state(self) -> dict[str, Any]:
        """JSON; ``from_state`` reads it back."""
        return {
            "events": self.events,
            "input": self.input.state(),
            "output": self.output.state(),
            "behaviour": self.behaviour.state(),
            "skill": self.skill.state(),
            "loop": self.loop.state(),
            "rule": self.rule.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        detector = cls(**config)
        for name in TEXTS:
            fresh = detector._texts(name)
            sizes = (fresh.reference_size, fresh.window_size, fresh.seed, fresh.level)
            names = ("reference_size", "window_size", "seed", "level")
            setattr(detector, name, TextDrift.from_state(state[name], **dict(zip(names, sizes, strict=True))))
        detector.events = state["events"]
        detector.behaviour = BehaviourDrift.from_state(state["behaviour"])
        detector.skill = SkillDrift.from_state(state["skill"], run_length=detector.rule.concept_run_length)
        detector.loop = LoopDrift.from_state(state["loop"])
        detector.rule = AlarmRule.from_state(state["rule"], run_length=detector.rule.run_length)
        return detector
