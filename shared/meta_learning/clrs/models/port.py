"""The port to what learns: a `Model` maps (input, output) pairs to the feedback score that it expects.

Adapters: `text_model.OnlineTextModel` (the default) and `estimator_model.EstimatorModel` (any scikit-learn estimator with
``partial_fit``). `loading.load_model` reads any of them back from its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Pair: TypeAlias = tuple[str, str]
Floats: TypeAlias = NDArray[np.float64]


@runtime_checkable
class Model(Protocol):
    """Learns the expected feedback score of an (input, output) pair. Deterministic: no clock, no global randomness."""

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        """Expected scores in [0, 1], float64 of shape (len(pairs),). Changes nothing."""

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        """Learn the scores of ``pairs``, in order. ``targets`` and ``weights`` have shape (len(pairs),)."""

    def dump(self) -> bytes:
        """The whole learning state as bytes: the same state gives the same bytes. Never a pickle."""

    def copy(self) -> Self:
        """A model that predicts the same now and learns apart from this one."""

    def version(self) -> str:
        """SHA-256 (hexadecimal) of the learnt arrays, not of their packing: equal versions predict and learn alike."""


def digest_of_arrays(kind: str, *arrays: NDArray[np.generic]) -> str:
    """The version of a model that consists of ``arrays``.

    >>> digest_of_arrays("demo", np.zeros(2)) == digest_of_arrays("demo", np.zeros(3))
    False
    """
    digest = hashlib.sha256(kind.encode())
    for array in arrays:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"|{little.dtype.str}{little.shape}|".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()
