"""Simulated users of five kinds, whose preferences are known at every moment.

>>> Users.model_validate("malicious").groups[0].share  # a kind alone takes its usual share
0.3
>>> users = Users(name="two-kinds", count=10, groups=[Group(kind="lazy", share=0.2), Group(kind="malicious", share=0.3)])
>>> [users.group_of(user).kind for user in range(10)]
['lazy', 'lazy', 'malicious', 'malicious', 'malicious', 'stable', 'stable', 'stable', 'stable', 'stable']
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from meta_learning.experiments.grid import Name, Strict
from meta_learning.experiments.loops.interactions import Interaction, Manner

Kind = Literal["stable", "drifting", "disagreeing", "lazy", "malicious"]
Share = Annotated[float, Field(ge=0, le=1)]
USUAL: dict[str, float] = {"stable": 1.0, "drifting": 1.0, "disagreeing": 0.5, "lazy": 1.0, "malicious": 0.3}


class Group(Strict):
    """Users of one kind. What a kind does not use is ignored.

    - stable: want the label of the text, and say so;
    - drifting: from ``begins`` of the stream on they want another label, at once or more and more over ``over`` of the stream;
    - disagreeing: of a share ``differs`` of all texts, each user has a taste of their own, and keeps to it;
    - lazy: answer a share ``answers`` of what they are asked, and of that a share ``careless`` without having looked;
    - malicious: want the label, and say the opposite.
    """

    kind: Kind = "stable"
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    begins: Share = 0.5
    over: Share = 0.0
    differs: Share = 0.3
    answers: Share = 0.3
    careless: Share = 0.3

    def wishes(self, label: str, labels: Sequence[str], user: str, text: str, progress: float, draw: float) -> str:
        """The answer that this user wants to ``text``, whose label is ``label``, at ``progress`` (0 to 1) of the stream."""
        other = labels[(labels.index(label) + 1) % len(labels)]
        if self.kind == "drifting" and progress >= self.begins:
            gone = 1.0 if self.over <= 0 else (progress - self.begins) / self.over
            return other if draw < gone else label
        if self.kind == "disagreeing":
            # By the text itself: asked again, the same user says the same.
            return other if zlib.crc32(f"{user}\x1f{text}".encode(errors="replace")) / 2**32 < self.differs else label
        return label

    def manner(self, draws: random.Random) -> Manner:
        """What this user does when asked this time."""
        if self.kind == "malicious":
            return "opposite"
        if self.kind == "lazy":
            if draws.random() >= self.answers:
                return "silent"
            return "careless" if draws.random() < self.careless else "honest"
        return "honest"


class Users(Strict):
    """A population: ``count`` users, ``groups`` of them in turn; who is in no group is stable. A kind's name stands for itself."""

    name: Name
    count: Annotated[int, Field(ge=1, le=100_000)] = 50
    groups: Annotated[list[Group], Field(max_length=20)] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, said: Any) -> Any:
        if isinstance(said, str) and said in USUAL:
            return {"name": said, "groups": [{"kind": said, "share": USUAL[said]}]}
        return said

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if sum(group.share for group in self.groups) > 1 + 1e-9:
            raise ValueError("the shares of the groups add up to more than 1")
        return self

    def group_of(self, user: int) -> Group:
        """The group of the user with this number."""
        taken = 0.0
        for group in self.groups:
            taken += group.share
            if user < round(taken * self.count):
                return group
        return Group()

    def interaction(
        self, text: str, label: str, labels: Sequence[str], progress: float, draws: random.Random
    ) -> Interaction:
        """Somebody meets ``text``, whose label is ``label``."""
        number, draw = draws.randrange(self.count), draws.random()
        group, user = self.group_of(number), f"u{number}"
        return Interaction(text, group.wishes(label, labels, user, text, progress, draw), user, group.manner(draws))
