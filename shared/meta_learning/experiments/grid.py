"""What every kind of study has: a typed file, a grid of cells, and names that follow from what was asked.

>>> class Toss(GridCell):
...     @property
...     def label(self) -> str:
...         return f"toss {self.seed}"
>>> len(Toss(seed=1).id), Toss(seed=1).id == Toss(seed=1).id, Toss(seed=1).id == Toss(seed=2).id
(24, True, False)
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meta_learning.errors import ConfigurationError, NotFound
from meta_learning.events import describe

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000)]


class Strict(BaseModel):
    """Settings that cannot be changed, and that refuse what they do not know."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    # Settings of a later release: what leaves them alone keeps its digest, so that studies go on where they stopped.
    added: ClassVar[tuple[str, ...]] = ()

    @property
    def digest(self) -> str:
        """Of every setting, as hexadecimal digits."""
        said = json.dumps(self.model_dump(mode="json", exclude=_untouched(self)), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()


class GridCell(Strict):
    """One point of a grid."""

    seed: int

    @property
    def id(self) -> str:
        """A digest of everything that the result depends on, in letters and digits: a file's name, and a job's."""
        return self.digest[:24]

    @property
    @abstractmethod
    def label(self) -> str:
        """For people."""


class NamedSettings(Strict):
    """What a file says of a study or a search, under a name."""

    name: Name

    @classmethod
    def read(cls, said: Mapping[str, Any] | str | Path) -> Self:
        """The checked settings of a mapping, or of a TOML or JSON file.

        Raises:
            NotFound: there is no such file.
            ConfigurationError: a setting is unknown, of the wrong type or out of bounds; the message names it.
        """
        try:
            return cls.model_validate(settings_of(said))
        except ValidationError as error:
            raise ConfigurationError(describe(error)[0]) from None

    @property
    def id(self) -> str:
        """The name of its folder: the same settings continue the same study."""
        return f"{self.name}-{self.digest[:10]}"


class Grid(NamedSettings):
    """The settings of one study."""

    seeds: Seeds = Field(default_factory=lambda: [0])

    @abstractmethod
    def cells(self) -> Sequence[GridCell]:
        """The grid in a fixed order, each cell once."""

    def later(self, results: Sequence[Mapping[str, Any]]) -> Sequence[GridCell]:
        """Cells that follow from the ``results`` of the grid; most studies have none."""
        return ()

    @property
    def later_count(self) -> int:
        """How many `later` will name."""
        return 0


def _untouched(settings: Strict) -> dict[str, Any]:
    """The added settings that are at their defaults, of these and of settings within them, as pydantic leaves them out."""
    found: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name in settings.added and value == field.default:
            found[name] = True
        elif isinstance(value, Strict) and (inner := _untouched(value)):
            found[name] = inner
        elif isinstance(value, list) and (places := _untouched_within(value)):
            found[name] = places
    return found


def _untouched_within(values: Sequence[Any]) -> dict[int, Any]:
    within = {place: _untouched(one) for place, one in enumerate(values) if isinstance(one, Strict)}
    return {place: inner for place, inner in within.items() if inner}


def settings_of(said: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """A mapping as it is, or what a TOML or JSON file says.

    Raises:
        NotFound: there is no such file.
        ConfigurationError: it is no TOML or JSON.
    """
    if not isinstance(said, str | Path):
        return dict(said)
    path = Path(said)
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{path.name}: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path.name} holds no settings")
    return found
