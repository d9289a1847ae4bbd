"""Arrays in few bits: the smallest numbers dropped, the rest as small integers with one scale for every group of them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from meta_learning.errors import ConfigurationError, MalformedState

Numbers: TypeAlias = NDArray[Any]
GROUP = 64  # a scale of 4 bytes for so many codes: half a bit a number


@dataclass(frozen=True, slots=True)
class Recipe:
    """``bits`` a number (2 to 8, its sign among them); ``keep_share`` of the numbers, the largest, are kept, others become 0.

    Raises:
        ConfigurationError: out of bounds.
    """

    bits: int = 8
    keep_share: float = 1.0

    def __post_init__(self) -> None:
        if not (2 <= self.bits <= 8 and 0.0 < self.keep_share <= 1.0):
            raise ConfigurationError(f"bits must lie in [2, 8] and keep_share in (0, 1]: {self}")


def packed(array: Numbers, recipe: Recipe) -> bytes:
    """``array`` after ``recipe``, compressed: scales, then codes.

    >>> numbers = np.linspace(-1.0, 1.0, 1000)
    >>> found = unpacked(packed(numbers, Recipe(bits=8)), numbers)
    >>> bool(abs(found - numbers).max() < 0.005), len(packed(numbers, Recipe(bits=4))) < 700
    (True, True)
    """
    flat = np.zeros(-(-array.size // GROUP) * GROUP, dtype=np.float32)
    flat[: array.size] = array.reshape(-1)
    if recipe.keep_share < 1.0 and array.size:
        kept = max(1, round(recipe.keep_share * array.size))
        limit = np.partition(np.abs(flat[: array.size]), array.size - kept)[array.size - kept]
        flat[np.abs(flat) < limit] = 0.0
    top = np.float32(2 ** (recipe.bits - 1) - 1)
    groups = flat.reshape(-1, GROUP)
    scales = (np.abs(groups).max(axis=1, initial=0.0) / top).astype("<f4")
    codes = np.rint(groups / np.maximum(scales, np.float32(1e-38))[:, None]).clip(-top, top).astype(np.int8)
    return zlib.compress(struct.pack("<Q", array.size) + scales.tobytes() + codes.tobytes(), 6)


def unpacked(blob: bytes, like: Numbers) -> Numbers:
    """The array again, in the shape and the type of ``like``.

    Raises:
        MalformedState: damaged, or of another size.
    """
    try:
        body = zlib.decompress(blob)
        (size,) = struct.unpack("<Q", body[:8])
        count = -(-size // GROUP)
        if size != like.size or len(body) != 8 + 4 * count + GROUP * count:
            raise ValueError(f"{size} numbers in {len(body)} bytes, where {like.size} belong")
        scales = np.frombuffer(body[8 : 8 + 4 * count], dtype="<f4")
        codes = np.frombuffer(body[8 + 4 * count :], dtype=np.int8).reshape(count, GROUP)
    except (ValueError, struct.error, zlib.error) as error:
        raise MalformedState(f"not a packed array: {error}") from error
    numbers = (codes * scales[:, None]).reshape(-1)[:size]
    return np.asarray(numbers.reshape(like.shape), dtype=like.dtype)
