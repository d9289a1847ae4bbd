"""Drawing one candidate from probabilities, so that the same cause gives the same draw and a log can be replayed."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meta_learning.clrs.acting.policies import Policy
from meta_learning.clrs.acting.record import Shown
from meta_learning.clrs.models.port import Floats
from meta_learning.errors import CallerError


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to show: its place among those given, its probability, and the probabilities of all of them.

    ``propensity`` is that of the text, should it have been given more than once. ``ranked`` holds (place, candidate, score), the
    shown one first and then the others, best first.
    """

    index: int
    input_text: str
    output_text: str
    propensity: float
    probabilities: tuple[float, ...]
    ranked: tuple[tuple[int, str, float], ...]
    model_version: str | None
    shown: Shown

    @property
    def feedback(self) -> dict[str, Any]:
        """All that feedback on this choice says, but for the score: ``collect_feedback(feedback_score=1.0, **choice.feedback)``."""
        return {
            "input_text": self.input_text,
            "output_text": self.output_text,
            "model_version": self.model_version,
            "propensity": self.propensity,
            "metadata": self.shown.metadata(),
        }


@dataclass(frozen=True, slots=True)
class Cause:
    """What a draw follows from, beside the texts: the run's seed, the loop, and the unit that it is for."""

    seed: int
    loop: str
    unit: str


def choose(
    input_text: str,
    candidates: Sequence[str],
    scores: Floats,
    probabilities: Floats,
    cause: Cause,
    model_version: str | None = None,
) -> Choice:
    """Draw one of ``candidates`` with the given ``probabilities``.

    Each candidate draws a waiting time, exponential with its probability as the rate, from its own hash; the shortest is
    shown. So the draw is exact, it does not depend on the order of the candidates, and when the scores move a little the
    choice of a unit rarely moves.

    Raises:
        CallerError: no candidates.
    """
    if not candidates:
        raise CallerError("candidates is empty: give at least one")
    seen: Counter[str] = Counter()
    waits, shares = [], probabilities.tolist()
    for candidate, probability in zip(candidates, shares, strict=True):
        seen[candidate] += 1  # the same text given twice draws twice
        drawn = uniform_of("show", cause, input_text, candidate, str(seen[candidate]))
        waits.append(-math.log(drawn) / probability if probability > 0.0 else math.inf)
    index = min(range(len(waits)), key=waits.__getitem__)
    order = sorted(range(len(candidates)), key=lambda place: (place != index, -float(scores[place]), place))
    return Choice(
        index=index,
        input_text=input_text,
        output_text=candidates[index],
        propensity=min(
            math.fsum(p for p, text in zip(shares, candidates, strict=True) if text == candidates[index]), 1.0
        ),
        probabilities=tuple(shares),
        ranked=tuple((place, candidates[place], float(scores[place])) for place in order),
        model_version=model_version,
        shown=Shown(unit=cause.unit, candidates=tuple(candidates)),
    )


def probabilities_of(policy: Policy, scores: Floats, learnt_count: int) -> Floats:
    """What ``policy`` says, for at least one candidate with finite scores.

    Raises:
        CallerError: no candidates.
    """
    if not len(scores):
        raise CallerError("candidates is empty: give at least one")
    return policy.probabilities(scores, learnt_count)


def uniform_of(purpose: str, cause: Cause, *texts: str) -> float:
    """A number in (0, 1) that looks random and follows from its arguments alone.

    >>> cause = Cause(0, "support", "user-7")
    >>> uniform_of("show", cause, "Hi") == uniform_of("show", cause, "Hi") != uniform_of("ask", cause, "Hi")
    True
    """
    digest = hashlib.sha256()
    for part in (purpose, str(cause.seed), cause.loop, cause.unit, *texts):
        told = part.encode("utf-8", "surrogatepass")
        digest.update(len(told).to_bytes(8, "big") + told)  # lengths apart: no two lists of texts run together
    return ((int.from_bytes(digest.digest()[:8], "big") >> 11) + 0.5) / 2.0**53
