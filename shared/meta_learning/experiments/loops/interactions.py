"""One moment of an application with a user whose wishes are known: what was there, what they want, what they would say."""

from __future__ import annotations

from typing import Literal, NamedTuple

Manner = Literal["honest", "opposite", "silent", "careless"]


class Interaction(NamedTuple):
    """``wanted``: the answer that would satisfy this user now. ``manner``: what becomes of that when they are asked.

    >>> liar = Interaction("late again", wanted="negative", user="u1", manner="opposite")
    >>> liar.satisfied_by("negative"), liar.said_of("negative")
    (1.0, 0.0)
    >>> Interaction("late again", "negative", "u2", "silent").said_of("negative") is None
    True
    """

    text: str
    wanted: str
    user: str
    manner: Manner = "honest"

    def satisfied_by(self, shown: str) -> float:
        """1 if ``shown`` is what the user wants, else 0: their satisfaction, whatever they say of it."""
        return float(shown == self.wanted)

    def said_of(self, shown: str) -> float | None:
        """The score that the user gives; None from one who does not answer."""
        if self.manner == "silent":
            return None
        if self.manner == "careless":
            return 1.0  # a click on "fine" by somebody who did not look
        satisfied = self.satisfied_by(shown)
        return 1.0 - satisfied if self.manner == "opposite" else satisfied
