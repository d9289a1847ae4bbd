"""The typed form of a feedback-loop study: texts x users x ways to answer x shares asked about x seeds.

>>> config = LoopStudyConfig.read({"kind": "feedback_loop", "name": "tweets", "texts": [{"name": "sentiment140"}],
...                                "users": ["stable", "drifting"], "asked": [100, 20], "seeds": [1, 2]})
>>> [cell.label for cell in config.cells()][:2]
['sentiment140 · stable · 100 % asked · seed 1', 'sentiment140 · stable · 20 % asked · seed 1']
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from meta_learning.clrs.settings import LoopSettings
from meta_learning.errors import ConfigurationError
from meta_learning.experiments.grid import Grid, GridCell, Name, Strict
from meta_learning.experiments.loops.users import Users

KIND: Literal["feedback_loop"] = "feedback_loop"
Percent = Annotated[float, Field(gt=0, le=100)]
Answers = Literal["one", "chosen"]
AskedBy = Literal["margin", "chance"]
# What a running system can be told of its loops; the rest is the trainer's default.
SERVED_SETTINGS = ("cycle_size", "drift_threshold", "alignment_threshold")


class Source(Strict):
    """Labelled texts: a data set by name, or a table by ``path`` and the names of its columns.

    ``liked``: the label of what users like where the answer is always the same one; by default the last in the alphabet.
    """

    name: Name
    path: str | None = None
    input: str | None = None
    expected: str | None = None
    liked: str | None = None


class Foreign(Source):
    """Other texts, which take the place of a ``share`` of all from ``begins`` of the stream on."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.3
    begins: Annotated[float, Field(ge=0, le=1)] = 0.5


class Texts(Source):
    """What the users meet."""

    foreign: Foreign | None = None


class LoopCell(GridCell):
    """One loop over one stream; with ``services`` a loop of a running system."""

    added: ClassVar[tuple[str, ...]] = ("services",)

    kind: Literal["feedback_loop"] = KIND
    texts: Texts
    users: Users
    answers: Answers = "one"
    asked: Percent = 100.0
    asked_by: AskedBy = "margin"
    events: Annotated[int, Field(ge=100, le=1_000_000)] = 5000
    settings: dict[str, int | float] = Field(default_factory=dict)
    services: bool = False

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.arm} · seed {self.seed}" + (" · through the services" if self.services else "")

    @property
    def arm(self) -> str:
        """The cell without its seed."""
        return f"{self.world} · {share_of(self.asked, self.asked_by)}"

    @property
    def world(self) -> str:
        """The cell without its seed, and without how many answers are asked about."""
        mixed = "" if self.texts.foreign is None else f" + {self.texts.foreign.name}"
        chosen = " · chosen answers" if self.answers == "chosen" else ""
        return f"{self.texts.name}{mixed} · {self.users.name}{chosen}"


class LoopStudyConfig(Grid):
    """A grid of loops. ``settings`` are those of `ClosedLoopSystem`, by name; ``asked`` is in per cent of the interactions.

    ``services``: the loops are those of a running system, which is started for the study unless its address is given.
    """

    added: ClassVar[tuple[str, ...]] = ("services",)

    kind: Literal["feedback_loop"]
    texts: Annotated[list[Texts], Field(min_length=1, max_length=20)]
    users: Annotated[list[Users], Field(min_length=1, max_length=50)] = Field(
        default_factory=lambda: [Users.model_validate("stable")]
    )
    answers: Annotated[list[Answers], Field(min_length=1)] = Field(default_factory=lambda: list[Answers](["one"]))
    asked: Annotated[list[Percent], Field(min_length=1, max_length=50)] = Field(default_factory=lambda: [100.0])
    asked_by: Annotated[list[AskedBy], Field(min_length=1)] = Field(default_factory=lambda: list[AskedBy](["margin"]))
    events: Annotated[int, Field(ge=100, le=1_000_000)] = 5000
    settings: dict[str, int | float] = Field(default_factory=dict)
    services: bool = False

    @model_validator(mode="after")
    def _known_settings(self) -> Self:
        checked_settings(self.settings)
        fixed = [name for name in self.settings if name not in SERVED_SETTINGS]
        if self.services and fixed:
            raise ValueError(f"through the services {fixed[0]} cannot be set, only {', '.join(SERVED_SETTINGS)}")
        return self

    def cells(self) -> list[LoopCell]:
        """The grid in a fixed order, each cell once: where everything is asked about, nobody needs to choose whom to ask."""
        found = [
            LoopCell(
                seed=seed,
                texts=texts,
                users=users,
                answers=answers,
                asked=asked,
                asked_by="margin" if asked >= 100 else asked_by,
                events=self.events,
                settings=self.settings,
                services=self.services,
            )
            for texts in self.texts
            for users in self.users
            for answers in self.answers
            for seed in self.seeds
            for asked in self.asked
            for asked_by in self.asked_by
        ]
        return list({cell.id: cell for cell in found}.values())


def share_of(asked: float, asked_by: str) -> str:
    """How the labels came about, for people."""
    return f"{asked:g} % " + ("asked" if asked_by == "margin" else "by chance")


def checked_settings(said: dict[str, int | float]) -> LoopSettings:
    """The settings of a loop.

    Raises:
        ValueError: one is unknown or out of its bounds (``seed`` is the cell's).
    """
    unknown = [name for name in said if name not in LoopSettings.__dataclass_fields__ or name == "seed"]
    if unknown:
        raise ValueError(f"a loop has no setting {unknown[0]!r} here")
    try:
        return LoopSettings(**said)  # type: ignore[arg-type]  # whole numbers stay whole: pydantic tells them apart
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
