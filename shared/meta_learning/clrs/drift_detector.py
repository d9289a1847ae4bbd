"""Five kinds of drift, each in [0, 1] with a null of its own, and the largest of them as the drift score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from meta_learning.clrs.drift.behaviour_drift import BehaviourDrift
from meta_learning.clrs.drift.skill_drift import SkillDrift
from meta_learning.clrs.drift.text_drift import TextDrift
from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.models.port import Floats

KINDS = ("input", "output", "behaviour", "concept", "performance")


class DriftDetector:
    """Folds batches of a loop's traffic; leave out what you do not have, and its kinds stay None.

    | kind | what moved | 0.3 means |
    |---|---|---|
    | input, output | the words of the inputs, of the outputs | told from the reference with an AUROC of 0.65 |
    | behaviour | the champion's answers on a fixed probe, against an earlier champion | about 17 % of the answers changed side |
    | concept | what is right: the champion's error rose, and an e-detector alarmed | 30 % of the skill over chance is gone |
    | performance | the skill, lower 99 % bound of the share lost | 30 % of the skill is surely gone |

    On streams without drift, no score exceeds 0.3 in more than 1 % of windows (`benchmarks/null_drift.py`).

    >>> detector = DriftDetector(reference_size=50, window_size=25)
    >>> detector.update(input_texts=["my parcel is late"] * 50)
    >>> detector.update(input_texts=["guten Morgen"] * 25)
    >>> detector.result()["set_by"], detector.score()
    ('input', 1.0)
    """

    def __init__(
        self,
        threshold: float = 0.3,
        reference_size: int = 500,
        window_size: int = 100,
        seed: int = 0,
        run_length: float = 50_000.0,
    ) -> None:
        self.threshold, self.run_length = threshold, run_length
        self.input = TextDrift(reference_size, window_size, seed)
        self.output = TextDrift(reference_size, window_size, seed + 1)
        self.behaviour = BehaviourDrift()
        self.skill = SkillDrift(run_length=run_length)

    def update(
        self,
        *,
        input_texts: Sequence[str] = (),
        output_texts: Sequence[str] = (),
        probe_answers: Floats | None = None,
        scored: tuple[Floats, float, Floats] | None = None,
    ) -> None:
        """Fold one batch.

        ``probe_answers``: the champion's scores of the fixed probe. ``scored``: its predictions for the batch, made before it
        was learnt, what the constant predictor says, and the true scores.
        """
        if input_texts:
            self.input.update(input_texts)
        if output_texts:
            self.output.update(output_texts)
        if probe_answers is not None:
            self.behaviour.update(probe_answers)
        if scored is not None:
            self.skill.update(*scored)

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
            "alarms": self.skill.alarms,
        }

    def state(self) -> dict[str, Any]:
        """JSON; ``from_state`` reads it back."""
        return {
            "input": self.input.state(),
            "output": self.output.state(),
            "behaviour": self.behaviour.state(),
            "skill": self.skill.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        detector = cls(**config)
        for name in ("input", "output"):
            fresh: TextDrift = getattr(detector, name)
            sizes = {"reference_size": fresh.reference_size, "window_size": fresh.window_size, "seed": fresh.seed}
            setattr(detector, name, TextDrift.from_state(state[name], **sizes))
        detector.behaviour = BehaviourDrift.from_state(state["behaviour"])
        detector.skill = SkillDrift.from_state(state["skill"], run_length=detector.run_length)
        return detector
