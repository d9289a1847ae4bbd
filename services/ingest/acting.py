"""Which candidate the rank door puts first, and whether it says that the user's judgement is worth asking for."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from meta_learning.clrs.acting import Cause, Choice, Policy, choose, probabilities_of
from meta_learning.clrs.acting.policies import Greedy
from meta_learning.clrs.asking import Asker
from meta_learning.errors import WorldError

SEED = 0  # the unit makes the draws differ
UNSURE = 0.5  # the score of what no model has judged yet


@dataclass(frozen=True, slots=True)
class Request:
    """What one request wants: ``unit`` None means that it is nobody's in particular, and draws afresh."""

    loop: str
    input_text: str
    candidates: Sequence[str]
    unit: str | None
    explore: bool


@dataclass(frozen=True, slots=True)
class Acting:
    """Chooses by ``policy``; asks about ``asks_per_100`` of 100 first places.

    The level of each loop's `Asker` lives in this process alone: after a restart it finds its level again within some hundred
    requests, and the propensities are right all the while.
    """

    policy: Policy
    asks_per_100: float
    cycle_size: int
    askers_count_max: int = 10_000
    askers: OrderedDict[str, Asker] = field(default_factory=OrderedDict)

    def choice(self, asked: Request, scores: Any, version: str | None, cycle: int | None) -> Choice:
        """Draw the first place; runs in any thread. ``scores`` is None without a champion: then all are alike.

        Raises:
            WorldError: the model's scores are no numbers.
        """
        known = np.full(len(asked.candidates), UNSURE) if scores is None else np.asarray(scores, dtype=np.float64)
        if known.shape != (len(asked.candidates),) or not np.isfinite(known).all():
            raise WorldError(f"model {version} does not answer with one finite score a candidate")
        policy = self.policy if asked.explore else Greedy()
        shares = probabilities_of(policy, known, (cycle or 0) * self.cycle_size)
        cause = Cause(SEED, asked.loop, uuid.uuid4().hex if asked.unit is None else asked.unit)
        return choose(asked.input_text, asked.candidates, known, shares, cause, version)

    def with_asking(self, loop: str, choice: Choice) -> Choice:
        """The choice with the decision about asking; on the event loop alone, for it moves the loop's level."""
        asker = self.askers.setdefault(loop, Asker(self.asks_per_100))
        self.askers.move_to_end(loop)
        if len(self.askers) > self.askers_count_max:
            self.askers.popitem(last=False)
        cause = Cause(SEED, loop, choice.shown.unit)
        asked = asker.should_ask(choice.ranked[0][2], cause, choice.input_text, choice.output_text)
        return replace(choice, shown=replace(choice.shown, asked=asked.ask, ask_propensity=asked.propensity))
