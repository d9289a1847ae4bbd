"""The typed form of a study: a grid of data sets, models, strategies, seeds and budgets, from TOML or JSON.

>>> config = StudyConfig.read({"name": "tweets", "datasets": [{"name": "sentiment140", "initial_prompt": "Judge."}],
...                            "strategies": ["static", "meta", "fine_tuning"], "seeds": [0, 1], "budgets": [100, 200]})
>>> [cell.strategy for cell in config.cells()].count("meta")
4
>>> [cell.strategy for cell in config.cells()].count("fine_tuning")  # it asks no model, so no budget binds it
2
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from meta_learning.acla import STRATEGIES
from meta_learning.experiments.grid import Grid, GridCell, Name, Strict

# Arms that ask no language model for an answer: they are trained on the labelled items.
TUNED = ("fine_tuning", "lora")
FIXED = ("static", "hand_written", *TUNED)


def _known_strategy(name: str) -> str:
    if name not in (*FIXED, "meta") and name.partition(":")[2] not in STRATEGIES:
        raise ValueError(f"{name!r} is none of {', '.join(FIXED)}, meta, only:STRATEGY, without:STRATEGY")
    if ":" in name and name.partition(":")[0] not in ("only", "without"):
        raise ValueError(f"{name!r}: write only:STRATEGY or without:STRATEGY")
    return name


Strategy = Annotated[str, AfterValidator(_known_strategy)]


class DatasetSpec(Strict):
    """A data set by name, or a table (CSV, TSV, JSON lines) by ``path`` and the names of its columns."""

    name: Name
    path: str | None = None
    input: str | None = None
    expected: str | None = None
    initial_prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    hand_written_prompt: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    segment_by: str | None = None


class ModelSpec(Strict):
    """A language model; keys come from where the SDKs look for them, never from a file like this."""

    provider: Literal["anthropic", "openai", "local", "transformers"] = "local"
    model_name: str | None = None
    base_url: str | None = None


class Sizes(Strict):
    """How many items and iterations a cell takes, and how long answers may be."""

    num_iterations: Annotated[int, Field(ge=0, le=1000)] = 10
    sample_size: Annotated[int, Field(ge=1, le=100_000)] = 100
    gate_samples: Annotated[int, Field(ge=0, le=100_000)] = 100
    test_samples: Annotated[int, Field(ge=20, le=100_000)] = 200
    flip_samples: Annotated[int, Field(ge=0, le=10_000)] = 20
    proposal_tokens: Annotated[int, Field(ge=16, le=16_384)] = 256
    reasoning_tokens: Annotated[int, Field(ge=16, le=16_384)] = 256


class Cell(GridCell):
    """One point of the grid of prompts."""

    dataset: DatasetSpec
    model: ModelSpec | None
    strategy: Strategy
    budget: int | None
    sizes: Sizes

    @property
    def label(self) -> str:
        """For people."""
        model = "" if self.model is None else f" · {self.model.model_name or self.model.provider}"
        budget = "" if self.budget is None else f" · {self.budget:,} calls"
        return f"{self.dataset.name}{model} · {self.strategy} · seed {self.seed}{budget}"


class StudyConfig(Grid):
    """A grid. What does not depend on an axis is run once along it, and compared with every point of it."""

    datasets: Annotated[list[DatasetSpec], Field(min_length=1, max_length=100)]
    models: Annotated[list[ModelSpec], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: [ModelSpec()]
    )
    strategies: Annotated[list[Strategy], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: ["static", "meta"]
    )
    budgets: Annotated[list[Annotated[int, Field(ge=1)] | None], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: list[int | None]([None])
    )
    sizes: Sizes = Field(default_factory=Sizes)

    def cells(self) -> list[Cell]:
        """The grid in a fixed order, each cell once."""
        found = [
            Cell(
                dataset=dataset,
                model=None if strategy in TUNED else model,
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
