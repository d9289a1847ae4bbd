"""The limit on the ratio of dead letters: a bad deploy stops a fold instead of draining the stream into the dead letters.

The window of a fold's last outcomes is a text, ``.`` for an entry that was folded and ``x`` for one that was parked;
it is committed with the fold's state, so that a restart does not forgive what came before it.

>>> too_many(slide("", read_count=30, parked_count=6, limits=Limits()), Limits())
True
"""

from __future__ import annotations

from meta_learning.streams import Limits

SEEN_COUNT_MIN = 20  # fewer entries say nothing about a ratio
PARKED_COUNT_MIN = 3  # a malformed entry or two are the sender's mistake, not a bad deploy


def slide(window: str, read_count: int, parked_count: int, limits: Limits) -> str:
    """The window after a batch of ``read_count`` entries of which ``parked_count`` were parked.

    >>> slide("....", 3, 1, Limits(dead_window_count=5))
    '....x'
    """
    parked = min(parked_count, limits.dead_window_count)
    folded = min(max(0, read_count - parked_count), limits.dead_window_count)
    return (window + "." * folded + "x" * parked)[-limits.dead_window_count :]


def too_many(window: str, limits: Limits) -> bool:
    """Whether the parked share of the window passes ``dead_ratio_max``; never before 20 entries were seen.

    >>> too_many("x" * 19, Limits()), too_many("x" * 20, Limits())
    (False, True)
    """
    parked = window.count("x")
    if len(window) < min(SEEN_COUNT_MIN, limits.dead_window_count) or parked < PARKED_COUNT_MIN:
        return False
    return parked / len(window) > limits.dead_ratio_max
