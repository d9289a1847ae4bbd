"""The bytes of a text model's state: only the buckets that were touched, the bytes of their numbers sorted by significance."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import numpy as np

from meta_learning.clrs.models.bags import BagSettings
from meta_learning.clrs.models.text_state import State, empty_state
from meta_learning.errors import MalformedState

HEADER = b"MLTX2\n"
OLD_HEADER = b"MLTX1\n"
SMALL = ("dense", "spread", "stack", "energy", "totals")


def packed(state: State, about: dict[str, Any]) -> bytes:
    """``state`` and what is to be known ``about`` it: header, JSON, then the arrays."""
    touched = state.table.any(axis=1)
    small = b"".join(_little(getattr(state, name)).tobytes() for name in SMALL)
    body = small + np.packbits(touched).tobytes() + _planes(state.table[touched])
    head = json.dumps(about | {"touched": int(touched.sum())}, sort_keys=True).encode()
    return HEADER + struct.pack("<I", len(head)) + head + _compressed(body)


def about_of(blob: bytes) -> tuple[dict[str, Any], bytes]:
    """What was said about the state, and the arrays.

    Raises:
        MalformedState: not the bytes of a text model, or of a format that is no longer read.
    """
    if blob.startswith(OLD_HEADER):
        raise MalformedState(
            "a text model of format 1: its features were other ones; let the loop learn anew from its log"
        )
    if not blob.startswith(HEADER):
        raise MalformedState("not a text model: the header is missing")
    try:
        start = len(HEADER) + 4
        (length,) = struct.unpack("<I", blob[len(HEADER) : start])
        about = json.loads(blob[start : start + length])
        if not isinstance(about, dict):
            raise ValueError("no settings")
        return about, zlib.decompress(blob[start + length :])
    except (ValueError, struct.error, zlib.error) as error:
        raise MalformedState(f"not a text model: {error}") from error


def unpacked(body: bytes, touched_count: int, settings: BagSettings) -> State:
    """The state again.

    Raises:
        MalformedState: the arrays do not fit ``settings``.
    """
    state, place = empty_state(settings, 1.0), 0
    try:
        for name in SMALL:
            array = getattr(state, name)
            little = np.frombuffer(body, dtype=array.dtype.newbyteorder("<"), count=array.size, offset=place)
            array[:] = little.reshape(array.shape)
            place += array.nbytes
        bits = np.frombuffer(body, dtype=np.uint8, count=len(state.table) // 8, offset=place)
        touched = np.unpackbits(bits).astype(bool)
        planes = np.frombuffer(body, dtype=np.uint8, offset=place + len(bits)).reshape(2, 4, touched_count)
        state.table[touched] = (planes[1].astype(np.uint16) << 8 | planes[0]).T
    except ValueError as error:
        raise MalformedState(f"not a text model: {error}") from error
    return state


def _compressed(body: bytes) -> bytes:
    """Runs and Huffman codes only: a third of the time of zlib's search for repetitions, and hashed rows have none."""
    deflate = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    return deflate.compress(body) + deflate.flush()


def _planes(rows: np.ndarray[Any, np.dtype[np.uint16]]) -> bytes:
    """All low bytes of a column, column after column, then all high bytes: like stands beside like."""
    columns = np.ascontiguousarray(rows.T)
    return (columns & 0xFF).astype(np.uint8).tobytes() + (columns >> 8).astype(np.uint8).tobytes()


def _little(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
