"""Alignment: does the model order events as the users did, beyond chance and against what a human could reach?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from meta_learning.clrs.alignment.ceiling import Ceiling, HumanCeiling
from meta_learning.clrs.alignment.comparison import Tally, tallies, tally
from meta_learning.clrs.alignment.confidence_sequence import interval, spent
from meta_learning.clrs.alignment.recent import RecentEvents
from meta_learning.clrs.alignment.window import Epoch, Window
from meta_learning.clrs.estimate import Estimate
from meta_learning.clrs.exchange import Exchange
from meta_learning.clrs.models.port import Floats

EVENTS_MIN = 50  # effective ones
WITHIN_USERS_MIN = 100  # events with a partner by the same user, from which only such pairs count
SEGMENT_MIN = 50
SEGMENT_SHRINK = 50.0  # events of the whole loop's concordance that a segment's is mixed with
TIED_MAX = 0.999
WEIGHT_MAX = (
    50.0  # what `Asker` hardly ever asks about has a propensity of .02; cut at 10, asked loops understate themselves
)
CEILING_MIN = 0.55  # below it, dividing by the humans' agreement would only magnify noise


class AlignmentScorer:
    """``(C - 0.5) / (ceiling - 0.5)`` cut to [0, 1], C the pairwise concordance of predictions made before learning.

    ``1 - MAE`` is not used: a constant predictor gets 0.77 to 0.94 of it on real scores. Pairs are taken within a batch
    (across batches they would compare different models); pairs of one user's events, which are free of that user's
    scale, are preferred once there are enough. Events weigh ``1 / propensity``, cut at 50; below an effective 50 events
    there is no score. The interval is a confidence sequence (arXiv 2103.06476) over the last ``batches_max`` to twice as
    many batches: with 95 % probability it holds at all looks for ever. ``ceiling`` is the concordance between humans:
    the number given, else measured where two users judged the same answer, else 1.

    >>> scorer = AlignmentScorer()
    >>> scores = np.tile([0.0, 1.0], 50)
    >>> scorer.update(scores * 0.8 + 0.1, scores)
    >>> scorer.score(), scorer.result()["state"]
    (1.0, 'aligned')
    """

    def __init__(self, threshold: float = 0.7, ceiling: float | None = None, batches_max: int = 10) -> None:
        self.threshold, self.ceiling, self.batches_max = threshold, ceiling, batches_max
        self._window = Window(batches_max)
        self._humans = HumanCeiling()
        self._recent = RecentEvents()
        self._found: dict[str, Any] | None = None

    def update(self, predictions: Floats, feedback_scores: Floats, exchanges: Sequence[Exchange] | None = None) -> None:
        """Fold one batch of predictions, made before it was learnt, what the users said, and about which exchanges."""
        told = [Exchange("", "")] * len(predictions) if exchanges is None else exchanges
        weights = np.array([min(1.0 / (found.propensity or 1.0), WEIGHT_MAX) for found in told])
        users = _codes([found.user_id for found in told])
        everyone = tally(predictions, feedback_scores, weights)
        within = tally(predictions, feedback_scores, weights, users) if users.max(initial=-1) >= 0 else Tally()
        segments = _by_segment(predictions, feedback_scores, weights, [found.segment for found in told])
        self._window.fold(len(predictions), everyone, within, segments)
        self._recent.update(predictions, feedback_scores, [found.user_id for found in told])
        self._humans.update(told, feedback_scores)
        self._found = None

    def score(self) -> float | None:
        """Alignment; None while undecidable: too few events, or a model that predicts the same for all."""
        current = self.result()["current"]
        return None if current is None else float(current)

    def result(self) -> dict[str, Any]:
        """The score with n, interval and state (aligned, misaligned, undecided), and everything behind it."""
        if self._found is None:
            self._found = self._result()
        return dict(self._found)

    def _result(self) -> dict[str, Any]:
        epoch, ceiling, source = self._window.current, *self._ceiling()
        basis, found = self._basis(epoch)
        is_known = found.effective >= EVENTS_MIN and found.tied_share <= TIED_MAX
        bounds = interval(found, spent(epoch.number) / 2.0)  # half for each basis: which is used depends on the data
        estimate = Estimate.collecting(epoch.events)
        if is_known:
            middle, low, high = (
                _scaled(found.value, ceiling.value),
                _scaled(bounds[0], ceiling.high),
                _scaled(bounds[1], ceiling.low),
            )
            estimate = Estimate.of(middle, epoch.events, low, high)
        return {
            **estimate.as_dict(),
            "state": self._state(estimate),
            "threshold": self.threshold,
            "concordance": found.value if is_known else None,
            "concordance_low": bounds[0] if is_known else None,
            "concordance_high": bounds[1] if is_known else None,
            # Surely worse than a coin: the feedback, or the model, has its sign turned round.
            "inverted": is_known and bounds[1] < 0.5,
            "basis": basis,
            "effective_n": round(found.effective, 1),
            "ceiling": ceiling.value,
            "ceiling_source": source,
            "ceiling_n": ceiling.doubles,
            "worst_segment": self._worst(epoch, found, ceiling) if is_known else None,
            "brier": self._recent.brier(),
            "calibration_error": self._recent.calibration_error(),
            "disagreement": self._recent.disagreement(),
        }

    @staticmethod
    def _basis(epoch: Epoch) -> tuple[str, Tally]:
        within = epoch.within_users
        is_enough = within.events >= WITHIN_USERS_MIN and within.effective >= EVENTS_MIN
        return ("within_users", within) if is_enough else ("everyone", epoch.everyone)

    def _ceiling(self) -> tuple[Ceiling, str]:
        if self.ceiling is not None:
            return Ceiling(self.ceiling, self.ceiling, self.ceiling, 0), "given"
        found = self._humans.result()
        return (Ceiling(1.0, 1.0, 1.0, 0), "unknown") if found is None else (found, "measured")

    @staticmethod
    def _worst(epoch: Epoch, whole: Tally, ceiling: Ceiling) -> dict[str, Any] | None:
        """The segment whose lower bound is lowest, each shrunk to the whole; None without a segment of 50 events."""
        large = {name: found for name, found in epoch.segments.items() if found.effective >= SEGMENT_MIN}
        if not large:
            return None
        alpha, lows = spent(epoch.number) / 2.0, {}
        whole_low, _ = interval(whole, alpha)
        for name, found in large.items():
            share = found.effective / (found.effective + SEGMENT_SHRINK)
            low, _ = interval(found, alpha / len(large))
            # Both parts of the mixture at their lower ends: a segment is never surer than the whole that it is mixed with.
            lows[name] = tuple(share * a + (1.0 - share) * b for a, b in ((low, whole_low), (found.value, whole.value)))
        worst = min(lows, key=lambda name: (lows[name], name))  # equal ones by name, whatever order they came in
        low, middle = lows[worst]
        bounds = _scaled(low, ceiling.high), _scaled(middle, ceiling.value)
        low, middle = (min(max(number, 0.0), 1.0) for number in bounds)
        return {
            "segment": worst,
            "n": large[worst].events,
            "current": middle,
            "low": low,
            "concordance": large[worst].value,
            "segments": len(large),
        }

    def _state(self, estimate: Estimate) -> str:
        if estimate.low is not None and estimate.low >= self.threshold:
            return "aligned"
        if estimate.high is not None and estimate.high < self.threshold:
            return "misaligned"
        return "undecided"

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"window": self._window.state(), "humans": self._humans.state(), "recent": self._recent.state()}

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        scorer = cls(**config)
        scorer._window = Window.from_state(state["window"], scorer.batches_max)
        scorer._humans = HumanCeiling.from_state(state["humans"])
        scorer._recent = RecentEvents.from_state(state["recent"])
        return scorer


def _scaled(concordance: float, ceiling: float) -> float:
    return (concordance - 0.5) / (max(ceiling, CEILING_MIN) - 0.5)


def _codes(names: Sequence[str | None]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A number for each name in order of appearance, -1 where there is none."""
    known: dict[str, int] = {}
    return np.array([-1 if name is None else known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def _by_segment(predicted: Floats, true: Floats, weights: Floats, names: Sequence[str | None]) -> dict[str, Tally]:
    known = list(dict.fromkeys(name for name in names if name is not None))
    return {known[code]: found for code, found in tallies(predicted, true, weights, _codes(names)).items()}
