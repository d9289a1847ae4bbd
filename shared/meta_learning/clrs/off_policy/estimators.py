"""Inverse propensity, self-normalised and doubly robust estimates of a policy's value, with intervals and a refusal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.off_policy.logged import Logged
from meta_learning.errors import CallerError

Method = Literal["ips", "snips", "dr"]
METHODS: tuple[Method, ...] = ("ips", "snips", "dr")
Interval = Literal["bootstrap", "bernstein"]
ESS_MIN = 50.0
WEIGHT_BIAS_MAX = 0.1
BOOTSTRAP_COUNT = 1000
BLOCK_NUMBERS = 500_000  # of a bootstrap block: 4 MB


@dataclass(frozen=True, slots=True)
class OffPolicyEstimate:
    """``value`` lies between ``low`` and ``high`` with the confidence asked for; all three are None when it was ``refused``.

    ``ess``: the effective sample size, of ``n`` logged choices; ``clipped``: the share of them whose weight was cut.
    """

    method: Method
    value: float | None
    low: float | None
    high: float | None
    n: int
    ess: float
    clipped: float
    refused: str | None = None


def estimate(
    logged: Logged,
    method: Method = "dr",
    interval: Interval = "bootstrap",
    confidence: float = 0.95,
    weight_max: float = 10.0,
    seed: int = 0,
) -> OffPolicyEstimate:
    """The mean reward that the policy behind ``logged.targets`` would have earned.

    ``ips`` weighs rewards by target over propensity (Horvitz & Thompson 1952), clipped at ``weight_max`` (Ionides 2008);
    ``snips`` divides by the sum of the weights (Swaminathan & Joachims 2015); ``dr`` weighs only what a model did not expect
    (Dudik, Langford & Li 2011, arXiv 1103.4601), so the clipping costs it least. ``bootstrap``: percentiles of resampled
    choices; ``bernstein``: the empirical Bernstein bound (Maurer & Pontil 2009, arXiv 0907.3740), wide but never
    optimistic about the clipped mean; only where everybody was asked, and not for ``snips``.

    An effective sample size below 50 is refused: the answer would hang on a few choices. So are weights whose mean is not
    within 0.1, or three standard errors, of 1: the log hardly ever shows what the policy would choose.

    >>> half = np.full(200, 0.5)
    >>> log = Logged(rewards=np.tile([0.0, 1.0], 100), propensities=half, targets=np.tile([0.0, 1.0], 100), shown_values=half,
    ...              policy_values=half, asked=np.ones(200))
    >>> found = estimate(log, "snips")
    >>> found.value, found.ess
    (1.0, 100.0)

    Raises:
        CallerError: an argument is out of bounds, or the combination is not offered.
    """
    _check(method, interval, confidence, weight_max)
    if interval == "bernstein" and (method == "snips" or (logged.asked < 1.0).any()):
        raise CallerError("a ratio of sums has no empirical Bernstein bound: take the bootstrap")
    weights = logged.weights(weight_max)
    ess = effective_sample_size(weights / logged.asked)
    clipped = float((logged.targets > weight_max * logged.propensities).mean()) if len(logged) else 0.0
    if reason := _unsupported(weights, logged.asked, ess):
        return OffPolicyEstimate(method, None, None, None, len(logged), ess, clipped, reason)
    terms, divisors = _terms(logged, weights, method)
    value = float(terms.sum() / divisors.sum())
    if interval == "bootstrap":
        low, high = _bootstrap(terms, divisors, confidence, seed)
    else:
        low, high = _bernstein(terms, confidence, _range(weight_max, method))
    value, low, high = (min(max(number, 0.0), 1.0) for number in (value, low, high))
    return OffPolicyEstimate(method, value, low, high, len(logged), ess, clipped)


def _unsupported(weights: Floats, asked: Floats, ess: float) -> str | None:
    """Why the log cannot say what the policy would earn; None when it can.

    With full support the weights average 1. They average less where what the policy would choose was (almost) never shown, and
    no interval computed from what was shown knows about that.
    """
    if ess < ESS_MIN:
        return f"the effective sample size is {ess:.1f} of {len(weights)}; at least {ESS_MIN:.0f} are needed"
    mean = float((weights / asked).sum() / (1.0 / asked).sum())
    error = float((weights / asked).std() / (1.0 / asked).mean()) / math.sqrt(len(weights))
    if abs(mean - 1.0) > max(WEIGHT_BIAS_MAX, 3.0 * error):
        return f"the weights average {mean:.2f}, not 1: too much of what the policy would choose was hardly ever shown"
    return None


def effective_sample_size(weights: Floats) -> float:
    """How many equally weighted choices carry as much (Kish 1965): the squared sum over the sum of squares.

    >>> effective_sample_size(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    squares = float((weights * weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0


def _terms(logged: Logged, weights: Floats, method: Method) -> tuple[Floats, Floats]:
    """Numerators and denominators whose sums' ratio is the estimate."""
    stands_for = 1.0 / logged.asked
    if method == "snips":
        return stands_for * weights * logged.rewards, stands_for * weights
    if method == "ips":
        return stands_for * weights * logged.rewards, stands_for
    return stands_for * (logged.policy_values + weights * (logged.rewards - logged.shown_values)), stands_for


def _bootstrap(terms: Floats, divisors: Floats, confidence: float, seed: int) -> tuple[float, float]:
    draws = np.random.default_rng([seed, len(terms)])
    count = len(terms)
    rows = max(BLOCK_NUMBERS // count, 1)
    means: list[NDArray[Any]] = []
    for first in range(0, BOOTSTRAP_COUNT, rows):
        places = draws.integers(count, size=(min(rows, BOOTSTRAP_COUNT - first), count), dtype=np.int32)
        sums = divisors[places].sum(axis=1)
        means.append(terms[places].sum(axis=1) / np.where(sums > 0.0, sums, 1.0))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return float(low), float(high)


def _bernstein(terms: Floats, confidence: float, width: float) -> tuple[float, float]:
    """Two-sided: each side has half of the error. ``width``: of the range that a term lies in."""
    count = len(terms)
    told = math.log(4.0 / (1.0 - confidence))
    half = math.sqrt(2.0 * float(terms.var(ddof=1)) * told / count) + 7.0 * width * told / (3.0 * (count - 1))
    return float(terms.mean()) - half, float(terms.mean()) + half


def _range(weight_max: float, method: Method) -> float:
    return weight_max if method == "ips" else 2.0 * weight_max + 1.0


def _check(method: str, interval: str, confidence: float, weight_max: float) -> None:
    if method not in {"ips", "snips", "dr"} or interval not in {"bootstrap", "bernstein"}:
        raise CallerError("method is ips, snips or dr; interval is bootstrap or bernstein")
    if not 0.5 <= confidence < 1.0 or not (math.isfinite(weight_max) and weight_max >= 1.0):
        raise CallerError("confidence must lie in [0.5, 1), weight_max must be at least 1")
