"""The two ways of doing the same arithmetic: numpy alone, or compiled where numba is installed (the extra ``fast``)."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from meta_learning.clrs.models import extraction, learning
from meta_learning.clrs.models.bags import Bags, BagSettings, Texts
from meta_learning.clrs.models.codepoints import Tables, encoded, tables
from meta_learning.clrs.models.port import Floats
from meta_learning.clrs.models.text_state import BAYES_SCALES, Rates, State, empty_state, log_counts

SAMPLE = (
    ("Is my parcel late?", "yes"),
    ("Größe 42, bitte! 42", "Größe 42 is in stock, and ships on 3 May for 9.90 €."),
    ("", "no"),
    ("ИЩУ поезд в 10:30", "the train leaves at 10:30"),
)


class Path(NamedTuple):
    """Three functions; both paths give the same bags, scores and states."""

    name: str
    extract: Callable[[Texts, Tables, BagSettings], Bags]
    predict: Callable[[State, Bags, Rates], Floats]
    learn: Callable[[State, Bags, Floats, Floats, Rates], None]


PURE = Path("pure", extraction.extract, learning.predict, learning.learn)


@cache
def fastest() -> Path:
    """The compiled path where numba is installed and says the same as numpy, else numpy alone."""
    if importlib.util.find_spec("numba") is None:
        return PURE
    try:
        found = compiled()
        agreed = agree(found, PURE)
    except Exception as error:  # noqa: BLE001  whatever an extra or its files on disk do, the pure path needs neither
        warnings.warn(
            f"the text model cannot be compiled, so the pure one is used, which is slower: {type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return PURE
    if agreed:
        return found
    warnings.warn(
        "the compiled text model differs from the pure one, so the pure one is used; remove the files *.nbi and *.nbc beside "
        "meta_learning.clrs.models.kernel (or in NUMBA_CACHE_DIR) to have it compiled again",
        RuntimeWarning,
        stacklevel=2,
    )
    return PURE


def agree(one: Path, other: Path) -> bool:
    """Whether both paths learn the same from a small sample: a compiler's cache does not see changes in other files.

    >>> agree(PURE, PURE)
    True
    """
    found, wanted = learnt(one), learnt(other)
    return all(np.allclose(mine, theirs, rtol=0.0, atol=1e-6) for mine, theirs in zip(found, wanted, strict=True))


def learnt(path: Path) -> list[np.ndarray[Any, Any]]:
    """Everything that ``path`` learns from the sample, and its scores after it."""
    settings = BagSettings(bits=8)
    points, starts = encoded([text for pair in SAMPLE for text in pair])
    bags = path.extract(Texts(points, starts), tables(), settings)
    state, rates = empty_state(settings, 1.0), Rates(0.3, 0.05, 0.01, 2.0, BAYES_SCALES, log_counts(2.0, 0.3))
    for targets in (np.linspace(0.0, 1.0, len(SAMPLE)), np.linspace(1.0, 0.0, len(SAMPLE))):
        path.learn(state, bags, targets, np.ones(len(SAMPLE)), rates)
    return [*state, path.predict(state, bags, rates)]


@cache
def compiled() -> Path:
    """The compiled path. The first use on a machine compiles for about 10 CPU-seconds, later ones read the result back.

    Raises:
        ImportError: numba is not installed.
    """
    from meta_learning.clrs.models import kernel, kernel_learning

    return Path("compiled", kernel.extract, kernel_learning.predict, kernel_learning.learn)
