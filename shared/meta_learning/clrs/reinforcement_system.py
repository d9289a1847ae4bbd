"""The closed loop in one process: feedback in, a better model out, each version through its gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import ValidationError

from meta_learning.clrs.acting import DEFAULT, Cause, Choice, Policy, choose, probabilities_of
from meta_learning.clrs.asking import Asked, Asker
from meta_learning.clrs.feedback_fold import FeedbackFold
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.summary import Summary
from meta_learning.errors import CallerError, MalformedEvent, WorldError
from meta_learning.events import CycleCompleted, FeedbackReceived, describe

UNIT_CHARS_MAX = 128  # as at the rank door
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # without a clock, the n-th piece of feedback happened n seconds after this


class ClosedLoopSystem(FeedbackFold):
    """A loop of feedback: every ``cycle_size`` events train a candidate, which becomes champion only through the gates.

    A deterministic fold: the same events give the same versions, decisions and events, byte for byte, also across
    `snapshot` and `restore`. Not safe for two threads that both fold; `score` and `rank` may run beside a fold.

    >>> clrs = ClosedLoopSystem(cycle_size=10)
    >>> for n in range(40):
    ...     done = clrs.collect_feedback(input_text=f"case {n}", output_text=("yes", "no")[n % 2], feedback_score=n % 2)
    >>> clrs.rank(input_text="a new case", candidates=["yes", "no"])[0][0]
    'no'

    Raises:
        ConfigurationError: a setting is out of bounds, or ``settings`` contradicts a named argument.
        WorldError: ``model`` cannot say its version.
    """

    def collect_feedback(
        self,
        input_text: str,
        output_text: str,
        feedback_score: float,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        occurred_at: datetime | None = None,
        model_version: str | None = None,
        propensity: float | None = None,
    ) -> CycleCompleted | None:
        """Take one piece of feedback; at ``cycle_size`` of them the loop trains, and the cycle's record is returned.

        ``model_version`` and ``propensity``: which version chose the answer, and how likely; `act` gives both.

        Raises:
            MalformedEvent: an argument is invalid (the message names it); nothing was changed.
            WorldError: a model of your own cannot say its version; nothing was changed, say it again later.
        """
        count = self._state.counts["accepted"] + 1
        said: dict[str, Any] = {
            "event_id": f"{self.loop}:{count}",
            "occurred_at": occurred_at or EPOCH + timedelta(seconds=count),
            "loop": self.loop,
            "input_text": input_text,
            "output_text": output_text,
            "feedback_score": _plain(feedback_score),
            "metadata": {} if metadata is None else dict(metadata) if isinstance(metadata, Mapping) else metadata,
            "user_id": user_id,
            "model_version": model_version,
            "propensity": _plain(propensity),
        }
        try:
            event = FeedbackReceived(**said)
        except ValidationError as error:
            raise MalformedEvent(*describe(error)) from None
        return next((told for told in self.fold(event, f"0-{count}") if isinstance(told, CycleCompleted)), None)

    def score(self, input_text: str, output_text: str) -> float:
        """The feedback that the champion expects, in [0, 1]; without a champion the mean of all feedback so far (or 0.5)."""
        return float(self.scores([(input_text, output_text)])[0])

    def rank(self, input_text: str, candidates: Sequence[str]) -> list[tuple[str, float]]:
        """``candidates`` with their scores, best first; equal ones keep their order.

        Raises:
            CallerError: ``candidates`` is no sequence of texts.
            WorldError: a model of your own does not answer with one finite score a candidate.
        """
        candidates = _texts(candidates)
        scores = self.scores([(input_text, candidate) for candidate in candidates])
        order = np.argsort(-scores, kind="stable")
        return [(candidates[index], float(scores[index])) for index in order]

    def act(
        self, input_text: str, candidates: Sequence[str], unit: str | None = None, policy: Policy = DEFAULT
    ) -> Choice:
        """The candidate to show: mostly the best, now and then another, with a known probability; ``Greedy()`` never explores.

        The draw follows from the loop's seed, the input, the candidates and ``unit`` (a user, a session; by default the
        number of feedback so far), so it can be repeated. Feedback goes back with ``**choice.feedback``.

        Raises:
            CallerError: no candidates, or they are no texts; ``unit`` is not 1 to 128 characters.
            WorldError: a model of your own does not answer with one finite score a candidate.
        """
        candidates, cause = _texts(candidates), self._cause(unit)
        scores = self.scores([(input_text, candidate) for candidate in candidates])
        shares = probabilities_of(policy, scores, self._state.counts["trained"])
        return choose(input_text, candidates, scores, shares, cause, self.champion_version)

    @cached_property
    def asker(self) -> Asker:
        """Who decides in `should_ask`; put another in its place for another budget. No part of snapshots."""
        return Asker()

    def should_ask(self, input_text: str, output_text: str, unit: str | None = None) -> Asked:
        """Whether a user's judgement of this answer is worth asking for, and with what probability that was decided."""
        cause = self._cause(unit)
        return self.asker.should_ask(self.score(input_text, output_text), cause, input_text, output_text)

    def _cause(self, unit: str | None) -> Cause:
        if unit is not None and not (isinstance(unit, str) and 0 < len(unit) <= UNIT_CHARS_MAX):
            # It travels in the metadata of the feedback, which would be refused with a longer one.
            raise CallerError(f"unit must be a text of 1 to {UNIT_CHARS_MAX} characters")
        return Cause(self.settings.seed, self.loop, str(self._state.counts["accepted"]) if unit is None else unit)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """`score` of many pairs at once.

        Raises:
            CallerError: a text is no text.
            WorldError: a model of your own does not answer with one finite score a pair.
        """
        if not all(isinstance(text, str) for pair in pairs for text in pair):
            raise CallerError("input and output must be texts")
        champion = self._champion
        if champion is None:
            return np.full(len(pairs), self._constant())
        found = np.asarray(champion.predict(pairs), dtype=np.float64)
        if found.shape != (len(pairs),) or not np.isfinite(found).all():
            raise WorldError(f"model {champion.version()} does not answer with one finite score a pair")
        return found

    def get_system_summary(self) -> Summary:
        """Scores, patterns, alarms, versions and counts (``docs/summary.md`` has every key).

        A plain dict that prints as a table and shows as cards in a notebook. A score that does not mean anything yet has
        ``current`` None.
        """
        state = self._state
        return Summary(
            {
                "loop": self.loop,
                **self.monitor.summary(),
                "champion_version": self.champion_version,
                "candidate_version": self.candidate_version,
                "counts": {**state.counts, "pending": len(state.pending)},
                "settings": {name: getattr(self.settings, name) for name in self.settings.__dataclass_fields__},
            }
        )


def _texts(candidates: Sequence[str]) -> list[str]:
    if isinstance(candidates, str | bytes) or not isinstance(candidates, Iterable):
        raise CallerError("candidates must be a list of texts")
    return list(candidates)


def _plain(score: Any) -> Any:
    """NumPy's numbers as Python's; anything else as it is, for validation to judge."""
    return score.item() if isinstance(score, np.generic) else score
