"""The loss of KTO on scalar feedback, and Adam on one flat vector.

KTO (Ethayarajh et al. 2024, arXiv 2402.01306, eq. 8) asks only whether an answer was desirable. With r = log(policy /
reference) and the reference point z = KL(policy || reference), its value is ``sigmoid(beta (r - z))`` for a desirable answer
and ``sigmoid(beta (z - r))`` for an undesirable one, and the loss ``lambda (1 - value)``. A score y in [0, 1] counts here
as desirable with weight y and as undesirable with weight 1 - y.

Where an answer is one of a few labels, policy and reference are distributions over these labels: no learning is spent on the rest
of the vocabulary, and z is computed instead of estimated.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from meta_learning.clrs.models.port import Floats

Tensor: TypeAlias = Any
LAMBDA_MIN, LAMBDA_MAX = 0.5, 2.0  # section 4.3: an imbalance is corrected, but within bounds
MOMENTUM, SMOOTHING, EPSILON = 0.9, 0.99, 1e-6
NORM_MAX = 1.0


def among(said: Tensor) -> Tensor:
    """Log-probabilities among the answers compared, shape (n, answers); a single answer keeps its own log-probability."""
    return said.log_softmax(dim=1) if said.shape[1] > 1 else said


def divergences(policy: Tensor, reference: Tensor) -> Tensor:
    """KL(policy || reference) of each row of `among`, exactly: its mean is z."""
    return (policy.exp() * (policy - reference)).sum(dim=1)


def losses(log_ratios: Tensor, reference: Tensor, scores: Tensor, lambdas: tuple[float, float], beta: float) -> Tensor:
    """One loss a row, each in [0, lambda]; no gradient goes through ``reference`` (the estimate of z)."""
    gain = beta * (log_ratios - reference)
    return scores * lambdas[0] * (1.0 - gain.sigmoid()) + (1.0 - scores) * lambdas[1] * (1.0 - (-gain).sigmoid())


def lambdas_of(mass: Floats) -> tuple[float, float]:
    """The weights of desirable and undesirable feedback that make up for their shares so far, within bounds.

    >>> lambdas_of(np.array([50.0, 50.0])), lambdas_of(np.array([90.0, 10.0]))
    ((1.0, 1.0), (0.5555555555555556, 2.0))
    """
    total = float(mass.sum())
    good, bad = (float(np.clip(total / (2.0 * part), LAMBDA_MIN, LAMBDA_MAX)) if part > 0 else 1.0 for part in mass)
    return good, bad


def descend(flat: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], step: int, rate: float) -> None:
    """One step of Adam (Kingma and Ba 2015) in place, with the gradient's length cut to 1; ``step`` counts from 1."""
    gradient = gradient * min(1.0, NORM_MAX / (float(gradient.norm()) + 1e-12))
    first, second = moments
    first.mul_(MOMENTUM).add_(gradient, alpha=1.0 - MOMENTUM)
    second.mul_(SMOOTHING).addcmul_(gradient, gradient, value=1.0 - SMOOTHING)
    corrected = (second / (1.0 - SMOOTHING**step)).sqrt_().add_(EPSILON)
    flat.addcdiv_(first, corrected, value=-rate / (1.0 - MOMENTUM**step))
