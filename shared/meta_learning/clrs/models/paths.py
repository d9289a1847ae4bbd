"""The two ways of doing the same arithmetic: numpy alone, or compiled where numba is installed (the extra ``fast``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from meta_learning.clrs.models import extraction, learning
from meta_learning.clrs.models.bags import Bags, BagSettings, Texts
from meta_learning.clrs.models.codepoints import Tables
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.models.text_state import Rates, State


class Path(NamedTuple):
    """Three functions; both paths give the same bags, scores and states."""

    name: str
    extract: Callable[[Texts, Tables, BagSettings], Bags]
    predict: Callable[[State, Bags, Rates], Floats]
    learn: Callable[[State, Bags, Floats, Floats, Rates], None]


PURE = Path("pure", extraction.extract, learning.predict, learning.learn)


@cache
def fastest() -> Path:
    """The compiled path where numba is installed, else numpy alone."""
    return compiled() if importlib.util.find_spec("numba") is not None else PURE


@cache
def compiled() -> Path:
    """The compiled path. The first use on a machine compiles for about 10 CPU-seconds, later ones read the result back.

    Raises:
        ImportError: numba is not installed.
    """
    from meta_learning.clrs.models import kernel, kernel_learning

    return Path("compiled", kernel.extract, kernel_learning.predict, kernel_learning.learn)
