"""Drift of the skill: concept (an alarm with a proved false-alarm rate) and performance (skill surely lost).

Both watch the champion's squared errors on events that it had not seen, against a baseline of its own first such errors.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Self

import numpy as np

from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.statistics import Moments

BETS = (0.25, 0.5, 1.0, 2.0)
SKILL_SURE = 3.0  # standard errors by which the baseline must beat the constant predictor for its skill to be a measure
LOSS_SURE = 2.33  # one-sided 99 %


class EDetector:
    """Shiryaev-Roberts e-detector on losses in [0, 1] (arXiv 2309.09111): alarms when their mean exceeds ``level``.

    While the conditional mean stays at or below ``level``, the mean time to a false alarm is at least ``run_length``.

    >>> detector = EDetector(level=0.2, run_length=1000.0)
    >>> [detector.update(1.0) for _ in range(9)].index(True)
    8
    """

    def __init__(
        self, level: float, run_length: float = 50_000.0, evidence: tuple[float, ...] = (0.0,) * len(BETS)
    ) -> None:
        self.level, self.run_length = level, run_length
        self._evidence = list(evidence)

    def update(self, loss: float) -> bool:
        """Fold one loss; True when the evidence reaches the run length (and starts again)."""
        excess = loss - self.level
        # A bet above 1 / level could make the wealth negative.
        bets = [min(bet, 0.9 / max(self.level, 1e-9)) for bet in BETS]
        self._evidence = [(held + 1.0) * (1.0 + bet * excess) for held, bet in zip(self._evidence, bets, strict=True)]
        if math.fsum(self._evidence) / len(BETS) < self.run_length:
            return False
        self._evidence = [0.0] * len(BETS)
        return True

    @property
    def evidence(self) -> float:
        """How far towards an alarm, on the scale of its logarithm, in [0, 1]. Not a drift score: it wanders with no drift too."""
        mean = math.fsum(self._evidence) / len(BETS)
        return min(max(math.log(max(mean, 1.0)) / math.log(self.run_length), 0.0), 1.0)

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"level": self.level, "run_length": self.run_length, "evidence": list(self._evidence)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Read `state` back."""
        return cls(state["level"], state["run_length"], tuple(state["evidence"]))


class SkillDrift:
    """Skill is what the champion's Brier score gains on that of the constant predictor; lost skill is a share of it.

    ``concept`` is 0 until the e-detector alarms, and then the share of skill lost on the events since; ``performance`` is the
    lower 99 % bound of the share lost in the last ``window_size`` events. Both are None until ``baseline_size`` losses after a
    warm-up give a baseline, and a share of skill is None where the baseline does not surely have any. After an alarm, as many
    new losses become the next baseline.

    With an estimated baseline the run length holds as far as the one standard error that is added to it reaches.
    """

    def __init__(
        self, baseline_size: int = 1000, window_size: int = 500, warmup_size: int = 500, run_length: float = 50_000.0
    ) -> None:
        self.baseline_size, self.window_size, self.warmup_size = baseline_size, window_size, warmup_size
        self.run_length = run_length
        self.seen = 0
        self.alarms = 0
        self._losses = self._gains = Moments()  # of the baseline, while it is collected and after
        self._detector: EDetector | None = None
        self._lost: tuple[Moments, Moments] | None = (
            None  # the baseline that an alarm ended, while the next is collected
        )
        self._window: list[Moments] = []

    def update(self, predictions: Floats, constant: float, true: Floats) -> None:
        """Fold a batch of predictions that were made before their events were learnt."""
        losses = (predictions - true) ** 2
        self.seen += len(true)
        if self.seen <= self.warmup_size:
            return
        gains = (constant - true) ** 2 - losses
        self._window = [*self._window, Moments.of(losses)]
        while len(self._window) > 1 and sum(part.count for part in self._window[1:]) >= self.window_size:
            self._window = self._window[1:]
        if self._detector is None:
            self._collect(losses, gains)
        elif any(map(self._detector.update, losses.tolist())):
            self.alarms += 1
            self._lost, self._detector = (self._losses, self._gains), None
            self._losses = self._gains = Moments()
            self._collect(losses, gains)

    def _collect(self, losses: Floats, gains: Floats) -> None:
        self._losses += Moments.of(losses)
        self._gains += Moments.of(gains)
        if self._losses.count >= self.baseline_size:
            self._detector = EDetector(self._losses.mean + self._losses.error, self.run_length)
            self._lost = None

    def concept(self) -> Estimate:
        """0 until the alarm; then the share of the old baseline's skill that was lost on the events since."""
        if self._lost is not None:
            if not _has_skill(self._lost[1]):
                return Estimate.collecting(self._losses.count)  # the error rose, but there was no skill to lose
            low, middle, high = _share_lost(*self._lost, self._losses)
            return Estimate.of(middle, self._losses.count, low, high)
        if self._detector is None:
            return Estimate.collecting(self._losses.count)
        return Estimate.of(0.0, self.seen, 0.0, 0.0)

    def performance(self) -> Estimate:
        """The lower bound of the share of skill lost lately: what is surely gone."""
        losses, gains = self._lost or (self._losses, self._gains)
        ready = self._lost is not None or self._detector is not None
        now = sum(self._window, start=Moments())
        if not ready or not _has_skill(gains) or now.count < self.window_size:
            return Estimate.collecting(now.count)
        low, _, high = _share_lost(losses, gains, now)
        return Estimate.of(low, now.count, low, high)

    @property
    def evidence(self) -> float | None:
        """The e-detector's evidence, a metric of its own."""
        return self._detector.evidence if self._detector is not None else None

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "seen": self.seen,
            "alarms": self.alarms,
            "losses": asdict(self._losses),
            "gains": asdict(self._gains),
            "detector": self._detector.state() if self._detector else None,
            "lost": [asdict(part) for part in self._lost] if self._lost else None,
            "window": [asdict(part) for part in self._window],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        drift = cls(**config)
        drift.seen, drift.alarms = state["seen"], state["alarms"]
        drift._losses, drift._gains = Moments(**state["losses"]), Moments(**state["gains"])
        drift._detector = EDetector.from_state(state["detector"]) if state["detector"] else None
        lost = state["lost"]
        drift._lost = (Moments(**lost[0]), Moments(**lost[1])) if lost else None
        drift._window = [Moments(**part) for part in state["window"]]
        return drift


def _has_skill(gains: Moments) -> bool:
    return gains.mean > SKILL_SURE * gains.error


def _share_lost(losses: Moments, gains: Moments, now: Moments) -> tuple[float, float, float]:
    """Low, point and high of the share of skill lost: the rise of the loss over the baseline's gain on the constant."""
    skill = max(gains.mean, 1e-9)
    rise, error = now.mean - losses.mean, np.hypot(now.error, losses.error) if now.count > 1 else math.inf
    reach = LOSS_SURE * float(error)
    return (rise - reach) / skill, rise / skill, (rise + reach) / skill
