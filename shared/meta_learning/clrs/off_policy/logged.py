"""Logged choices as arrays: what was earned, how likely the choice was then, and how likely another policy makes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.errors import CallerError


@dataclass(frozen=True)
class Logged:
    """One entry a choice, all of shape (n,).

    ``rewards`` in [0, 1]; ``propensities``: of the shown candidate, in (0, 1]; ``targets``: its probability under the policy in
    question. ``shown_values`` and ``policy_values`` are a model's expectations, for the shown candidate and for the policy's
    mean over all candidates; they matter to the doubly robust estimate alone. ``asked``: the probabilities with which users
    were asked for this feedback, in (0, 1]: it stands for ``1 / asked`` interactions.

    Raises:
        CallerError: shapes differ, or a number is out of its bounds.
    """

    rewards: Floats
    propensities: Floats
    targets: Floats
    shown_values: Floats
    policy_values: Floats
    asked: Floats

    def __post_init__(self) -> None:
        parts = (self.rewards, self.propensities, self.targets, self.shown_values, self.policy_values, self.asked)
        if any(part.shape != (len(self.rewards),) for part in parts):
            raise CallerError("logged choices: all arrays must have the same length")
        if not all(np.isfinite(part).all() and (part >= 0.0).all() and (part <= 1.0).all() for part in parts):
            raise CallerError("logged choices: all numbers must lie in [0, 1]")
        if not ((self.propensities > 0.0).all() and (self.asked > 0.0).all()):
            raise CallerError("logged choices: what has a propensity of 0 cannot have happened")

    def __len__(self) -> int:
        return len(self.rewards)

    def weights(self, weight_max: float) -> Floats:
        """How many times likelier the policy in question makes each choice, clipped."""
        return np.minimum(self.targets / self.propensities, weight_max)
