"""Trying an estimator out before it is used: what it would refuse later it refuses now, and its size is known in advance."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

from sklearn.base import clone

from meta_learning.clrs.models import estimator_steps, skops_archive
from meta_learning.clrs.models.features import FeatureSettings
from meta_learning.errors import UnsupportedEstimator

STATE_BYTES_MAX = (
    1 << 24
)  # a version of at most about 16 MB: a network keeps 300 numbers a feature where a linear model keeps one
BITS_MIN, DENSE_BITS_MAX = 8, 12
NARROW, WIDE = 64, 320


def rehearse(estimator: Any) -> tuple[bool, int]:
    """Let unfitted clones learn two rows, answer, and be saved: (needs dense rows, bytes of state a feature).

    Raises:
        UnsupportedEstimator: it cannot; the message says why.
    """
    try:
        dense, narrow = False, _size(estimator, NARROW, dense=False)
    except UnsupportedEstimator:
        dense, narrow = True, _size(estimator, NARROW, dense=True)
    return dense, max(1, (_size(estimator, WIDE, dense) - narrow) // (WIDE - NARROW))


def fitting_features(dense: bool, feature_bytes: int) -> FeatureSettings:
    """The usual features in the widest space, up to the default, in which the state stays within `STATE_BYTES_MAX`.

    >>> fitting_features(dense=False, feature_bytes=8).bits, fitting_features(dense=False, feature_bytes=2400).bits
    (18, 12)
    """
    plain = FeatureSettings()
    bits = min(plain.bits, DENSE_BITS_MAX if dense else plain.bits, (STATE_BYTES_MAX // feature_bytes).bit_length() - 1)
    return plain if bits == plain.bits else dataclasses.replace(plain, bits=max(bits, BITS_MIN))


def _size(estimator: Any, width: int, dense: bool) -> int:
    trial, rows = estimator_steps.seed(clone(estimator)), estimator_steps.example(width, dense)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says about so few rows does not hold for the real ones
            estimator_steps.learn(trial, rows, [0, 1], **estimator_steps.classes_of(trial))
            trial.predict(rows)
    except Exception as error:
        kind = "dense" if dense else "sparse"
        raise UnsupportedEstimator(f"{type(estimator).__name__} cannot learn from {kind} rows: {error}") from error
    return len(skops_archive.pack(trial))
