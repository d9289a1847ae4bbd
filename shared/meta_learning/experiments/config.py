"""The typed form of a study: a grid of data sets, models, strategies, seeds and budgets, from TOML or JSON.

>>> config = StudyConfig.read({"name": "tweets", "datasets": [{"name": "sentiment140", "initial_prompt": "Judge."}],
...                            "strategies": ["static", "meta", "fine_tuning"], "seeds": [0, 1], "budgets": [100, 200]})
>>> [cell.strategy for cell in config.cells()].count("meta")
4
>>> [cell.strategy for cell in config.cells()].count("fine_tuning")  # it asks no model, so no budget binds it
2
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from meta_learning.acla import STRATEGIES
from meta_learning.errors import ConfigurationError, NotFound
from meta_learning.events import describe

FIXED = ("static", "hand_written", "fine_tuning")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _known_strategy(name: str) -> str:
    if name not in (*FIXED, "meta") and name.partition(":")[2] not in STRATEGIES:
        raise ValueError(f"{name!r} is none of {', '.join(FIXED)}, meta, only:STRATEGY, without:STRATEGY")
    if ":" in name and name.partition(":")[0] not in ("only", "without"):
        raise ValueError(f"{name!r}: write only:STRATEGY or without:STRATEGY")
    return name


Strategy = Annotated[str, AfterValidator(_known_strategy)]


class _Strict(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DatasetSpec(_Strict):
    """A data set by name, or a table (CSV, TSV, JSON lines) by ``path`` and the names of its columns."""

    name: Name
    path: str | None = None
    input: str | None = None
    expected: str | None = None
    initial_prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    hand_written_prompt: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    segment_by: str | None = None


class ModelSpec(_Strict):
    """A language model; keys come from where the SDKs look for them, never from a file like this."""

    provider: Literal["anthropic", "openai", "local"] = "local"
    model_name: str | None = None
    base_url: str | None = None


class Sizes(_Strict):
    """How many items and iterations a cell takes, and how long answers may be."""

    num_iterations: Annotated[int, Field(ge=0, le=1000)] = 10
    sample_size: Annotated[int, Field(ge=1, le=100_000)] = 100
    gate_samples: Annotated[int, Field(ge=0, le=100_000)] = 100
    test_samples: Annotated[int, Field(ge=20, le=100_000)] = 200
    flip_samples: Annotated[int, Field(ge=0, le=10_000)] = 20
    proposal_tokens: Annotated[int, Field(ge=16, le=16_384)] = 256
    reasoning_tokens: Annotated[int, Field(ge=16, le=16_384)] = 256


class Cell(_Strict):
    """One point of the grid. ``id`` is a digest of everything that its result depends on."""

    dataset: DatasetSpec
    model: ModelSpec | None
    strategy: Strategy
    seed: int
    budget: int | None
    sizes: Sizes

    @property
    def id(self) -> str:
        """Letters and digits: a file's name, and a job's."""
        said = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()[:24]

    @property
    def label(self) -> str:
        """For people."""
        model = "" if self.model is None else f" · {self.model.model_name or self.model.provider}"
        budget = "" if self.budget is None else f" · {self.budget:,} calls"
        return f"{self.dataset.name}{model} · {self.strategy} · seed {self.seed}{budget}"


class StudyConfig(_Strict):
    """A grid. What does not depend on an axis is run once along it, and compared with every point of it."""

    name: Name
    datasets: Annotated[list[DatasetSpec], Field(min_length=1, max_length=100)]
    models: Annotated[list[ModelSpec], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: [ModelSpec()]
    )
    strategies: Annotated[list[Strategy], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: ["static", "meta"]
    )
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1, max_length=1000)] = Field(
        default_factory=lambda: [0]
    )
    budgets: Annotated[list[Annotated[int, Field(ge=1)] | None], Field(min_length=1, max_length=100)] = [None]
    sizes: Sizes = Field(default_factory=Sizes)

    @classmethod
    def read(cls, said: Mapping[str, Any] | str | Path) -> Self:
        """The checked settings of a mapping, or of a TOML or JSON file.

        Raises:
            NotFound: there is no such file.
            ConfigurationError: a setting is unknown, of the wrong type or out of bounds; the message names it.
        """
        try:
            return cls.model_validate(_loaded(Path(said)) if isinstance(said, str | Path) else dict(said))
        except ValidationError as error:
            raise ConfigurationError(describe(error)[0]) from None

    def cells(self) -> list[Cell]:
        """The grid in a fixed order, each cell once."""
        found = [
            Cell(
                dataset=dataset,
                model=None if strategy == "fine_tuning" else model,
                strategy=strategy,
                seed=seed,
                budget=None if strategy in FIXED else budget,
                sizes=self.sizes,
            )
            for dataset in self.datasets
            for model in self.models
            for seed in self.seeds
            for strategy in self.strategies
            for budget in self.budgets
            if strategy != "hand_written" or dataset.hand_written_prompt
        ]
        return list({cell.id: cell for cell in found}.values())

    @property
    def id(self) -> str:
        """The name of the study's folder: the same settings continue the same study."""
        said = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return f"{self.name}-{hashlib.sha256(said.encode()).hexdigest()[:10]}"


def _loaded(path: Path) -> dict[str, Any]:
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
