"""Whatever a caller logs, as JSON that every reader accepts.

>>> import numpy as np
>>> plain({"score": np.float64(0.5), "shape": (2, 3), "bad": float("nan"), "where": Path("a/b")})
{'score': 0.5, 'shape': [2, 3], 'bad': None, 'where': 'a/b'}
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """``value`` as JSON's own types: arrays as lists, what is not finite as None, anything unknown as its ``repr``."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        members = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [plain(one) for one in members]
    return _unpacked(value)


def _unpacked(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    # Arrays, tensors and their scalars.
    return plain(value.tolist()) if hasattr(value, "tolist") else repr(value)


def encoded(value: Any) -> bytes:
    """One line of JSON."""
    # A lone surrogate (half of an emoji, cut by somebody) is no UTF-8: better a mark in a log than no log.
    return json.dumps(plain(value), ensure_ascii=False).encode("utf-8", errors="replace") + b"\n"
