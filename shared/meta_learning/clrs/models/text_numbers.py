"""The table of the text model as numbers that survive in few bits: each column on the scale on which its errors matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.models.text_state import COUNT_MAX, DISLIKED, LIKED, SQUARES, WEIGHT, Table

SQUARES_STEP = 2048.0  # stored squares are short floats: so many codes double them


def numbers_of(table: Table) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Four arrays with a number for each bucket that was touched, in their order.

    Buckets lie beside each other by chance, so that one common word would set the scale of 63 rare ones: weights as roots,
    squares and counts as logarithms. Likes and dislikes as their sum and their lean: a bucket loses both or none.

    >>> table = np.array([[0, 0, 0, 0], [65000, 9000, 640, 32]], dtype=np.uint16)
    >>> bool((table_of(numbers_of(table), table) == table).all())
    True
    """
    table = table[table.any(axis=1)]
    signed = table[:, WEIGHT].astype(np.int16).astype(np.float64)
    liked, disliked = table[:, LIKED].astype(np.float64), table[:, DISLIKED].astype(np.float64)
    seen = liked + disliked
    found = {
        "weight": np.sign(signed) * np.sqrt(np.abs(signed)),
        "squares": table[:, SQUARES] / SQUARES_STEP,
        "seen": np.log1p(seen),
        "lean": (liked - disliked) / np.maximum(seen, 1.0),
    }
    return {name: array.astype(np.float32) for name, array in found.items()}


def table_of(numbers: Mapping[str, np.ndarray[Any, Any]], like: Table) -> Table:
    """The table that is nearest to ``numbers``, which belong to the touched buckets of ``like``; they stay touched."""
    root = numbers["weight"].astype(np.float64)
    seen = np.maximum(np.expm1(numbers["seen"].astype(np.float64)), 0.0)
    lean = np.clip(numbers["lean"].astype(np.float64), -1.0, 1.0)
    rows = np.zeros((len(root), 4), dtype=np.uint16)
    rows[:, WEIGHT] = np.rint(np.clip(np.sign(root) * root * root, -32767, 32767)).astype(np.int16).view(np.uint16)
    rows[:, SQUARES] = _whole(numbers["squares"].astype(np.float64) * SQUARES_STEP, 65535)
    rows[:, LIKED] = _whole(seen * (1.0 + lean) / 2.0, COUNT_MAX)
    rows[:, DISLIKED] = _whole(seen * (1.0 - lean) / 2.0, COUNT_MAX)
    # A bucket that lost everything keeps the least sum of squares: without a weight or counts it says nothing.
    rows[~rows.any(axis=1), SQUARES] = 1
    table = np.zeros_like(like)
    table[like.any(axis=1)] = rows
    return table


def _whole(numbers: Floats, most: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.clip(np.rint(numbers), 0, most).astype(np.uint16)
