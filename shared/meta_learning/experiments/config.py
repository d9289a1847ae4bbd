"""The typed form of a study: a grid of data sets, models, strategies, seeds and budgets, from TOML or JSON.

>>> config = StudyConfig.read({"name": "tweets", "datasets": [{"name": "sentiment140", "initial_prompt": "Judge."}],
...                            "strategies": ["static", "meta", "fine_tuning"], "seeds": [0, 1], "budgets": [100, 200]})
>>> [cell.strategy for cell in config.cells()].count("meta")
4
>>> [cell.strategy for cell in config.cells()].count("fine_tuning")  # it asks no model, so no budget binds it
2
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from meta_learning.acla import STRATEGIES, CurriculumConfig
from meta_learning.errors import ConfigurationError
from meta_learning.experiments.grid import Grid, GridCell, Name, Strict

# Arms that ask no language model for an answer: they are trained on the labelled items.
TUNED = ("fine_tuning", "lora")
FIXED = ("static", "hand_written", *TUNED)
# The first prompt, with weights on its labels fitted to the search items, and no other prompt tried.
THRESHOLDS = "thresholds"
# What a search may cost belongs to the cell, and its items and prompt to the data.
SEARCHED = (
    "improvement_threshold",
    "min_performance_threshold",
    "temperature",
    "alpha",
    "children_count",
    "calibrate",
    "adaptive_order",
    "ensemble_size",
    "tokens_price",
)
Value = int | float | bool | str


def _known_strategy(name: str) -> str:
    if name not in (*FIXED, THRESHOLDS, "meta") and name.partition(":")[2] not in STRATEGIES:
        raise ValueError(f"{name!r} is none of {', '.join(FIXED)}, {THRESHOLDS}, meta, only:STRATEGY, without:STRATEGY")
    if ":" in name and name.partition(":")[0] not in ("only", "without"):
        raise ValueError(f"{name!r}: write only:STRATEGY or without:STRATEGY")
    return name


Strategy = Annotated[str, AfterValidator(_known_strategy)]


def _known_search(said: dict[str, Value]) -> dict[str, Value]:
    unknown = [name for name in said if name not in SEARCHED]
    if unknown:
        raise ValueError(f"there is no setting {unknown[0]!r} here; there are {', '.join(SEARCHED)}")
    settings: dict[str, Any] = dict(said)
    try:
        CurriculumConfig(initial_prompt="x", dataset_name="x", **settings)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return said


Search = Annotated[dict[str, Value], AfterValidator(_known_search)]


class DatasetSpec(Strict):
    """A data set by name, or a table (CSV, TSV, JSON lines, Parquet) by ``path`` and the names of its columns.

    ``group``: the column of the user, thread or source, all of whose items are either searched, decided or tested on.
    """

    added: ClassVar[tuple[str, ...]] = ("group",)

    name: Name
    path: str | None = None
    input: str | None = None
    expected: str | None = None
    initial_prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    hand_written_prompt: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    segment_by: str | None = None
    group: Annotated[str, Field(min_length=1)] | None = None

    def of(self, strategy: str) -> DatasetSpec:
        """Without the hand-written prompt, where the arm is not that."""
        return self if strategy == "hand_written" else self.model_copy(update={"hand_written_prompt": None})


def _told_apart(specs: list[DatasetSpec]) -> list[DatasetSpec]:
    """Reports go by the name: two data sets under one (with a group and without, say) would be one arm's results."""
    names = [one.name for one in {one.digest: one for one in specs}.values()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(map(repr, twice))} stands for different data: take a name each, or a study each")
    return specs


Datasets = Annotated[list[DatasetSpec], AfterValidator(_told_apart)]


class ModelSpec(Strict):
    """A language model; keys come from where the SDKs look for them, never from a file like this.

    ``packaged``: the packaged model, by ``transformers`` where torch is installed, which answers in batches, else ``local``.
    ``label_logprobs`` false: answers are read as text also where the model gives the log-probabilities of labels.

    >>> ModelSpec(model_name="m", label_logprobs=False).title
    'm, as text'
    """

    provider: Literal["anthropic", "openai", "local", "transformers", "packaged"] = "local"
    model_name: str | None = None
    base_url: str | None = None
    label_logprobs: bool = True

    @property
    def title(self) -> str:
        """For people."""
        return title_of(self.model_dump())

    @property
    def here(self) -> ModelSpec:
        """What runs on this machine: a cell's name says which it was, since their answers differ a little."""
        if self.provider != "packaged":
            return self
        batched = all(find_spec(name) is not None for name in ("torch", "transformers"))
        return self.model_copy(update={"provider": "transformers" if batched else "local"})


def title_of(model: Mapping[str, Any]) -> str:
    """The name of a model out of the JSON of its settings."""
    return str(model["model_name"] or model["provider"]) + ("" if model.get("label_logprobs", True) else ", as text")


class Sizes(Strict):
    """How many items and iterations a cell takes, and how long answers may be."""

    num_iterations: Annotated[int, Field(ge=0, le=1000)] = 10
    sample_size: Annotated[int, Field(ge=1, le=100_000)] = 100
    gate_samples: Annotated[int, Field(ge=0, le=100_000)] = 100
    test_samples: Annotated[int, Field(ge=20, le=100_000)] = 200
    flip_samples: Annotated[int, Field(ge=0, le=10_000)] = 20
    answer_tokens: Annotated[int, Field(ge=1, le=4096)] = 32
    proposal_tokens: Annotated[int, Field(ge=16, le=16_384)] = 256
    reasoning_tokens: Annotated[int, Field(ge=16, le=16_384)] = 256

    def of(self, strategy: str) -> Sizes:
        """Those that bear on an arm, the others at their defaults: so its cells stay known when the others are changed.

        >>> Sizes(num_iterations=7, test_samples=30).of("lora") == Sizes(test_samples=30)
        True
        """
        items = ("sample_size", "gate_samples", "test_samples")
        asking = ("answer_tokens", "reasoning_tokens", "flip_samples")
        if strategy not in FIXED:
            return self
        return Sizes(**{name: getattr(self, name) for name in (items if strategy in TUNED else (*items, *asking))})


class Cell(GridCell):
    """One point of the grid of prompts; ``labels``: of the labelled items so many are learnt from, None for all."""

    added: ClassVar[tuple[str, ...]] = ("labels",)

    dataset: DatasetSpec
    model: ModelSpec | None
    strategy: Strategy
    budget: int | None
    sizes: Sizes
    search: Search = Field(default_factory=dict)
    labels: int | None = None

    @property
    def label(self) -> str:
        """For people."""
        model = "" if self.model is None else f" · {self.model.title}"
        budget = "" if self.budget is None else f" · {self.budget:,} calls"
        labels = "" if self.labels is None else f" · {self.labels:,} labels"
        return f"{self.dataset.name}{model} · {self.strategy} · seed {self.seed}{budget}{labels}"

    @property
    def searched_counts(self) -> tuple[int, int]:
        """How many items are searched on and how many decide, in the proportion of the sizes where labels are fewer."""
        search, gate = self.sizes.sample_size, self.sizes.gate_samples
        if self.labels is None:
            return search, gate
        fewer = max(1, round(self.labels * search / (search + gate)))
        return fewer, self.labels - fewer


class StudyConfig(Grid):
    """A grid. What does not depend on an axis is run once along it, and compared with every point of it.

    ``search``: settings of the agent that evolves prompts (`SEARCHED`), for every arm that searches. ``labels``: how many of the
    items to search and to gate on are labelled, for a curve over their number; None for all of them. All points of it are tested
    on the same items, and each has the labels of the one before.
    """

    added: ClassVar[tuple[str, ...]] = ("labels",)

    datasets: Annotated[Datasets, Field(min_length=1, max_length=100)]
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
    search: Search = Field(default_factory=dict)
    labels: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        there = self.sizes.sample_size + self.sizes.gate_samples
        if self.labels is not None and max(self.labels) > there:
            raise ValueError(f"labels: {max(self.labels)} are more than sample_size and gate_samples together, {there}")
        return self

    def cells(self) -> list[Cell]:
        """The grid in a fixed order, each cell once."""
        counts: list[int | None] = [None] if self.labels is None else [*self.labels]
        found = [
            Cell(
                dataset=dataset.of(strategy),
                model=None if strategy in TUNED else model.here,
                strategy=strategy,
                seed=seed,
                budget=None if strategy in FIXED else budget,
                sizes=self.sizes.of(strategy),
                search={} if strategy in FIXED else self.search,
                labels=labels if strategy in TUNED or strategy not in FIXED else None,
            )
            for dataset in self.datasets
            for model in self.models
            for seed in self.seeds
            for strategy in self.strategies
            for budget in self.budgets
            for labels in counts
            if strategy != "hand_written" or dataset.hand_written_prompt
        ]
        return list({cell.id: cell for cell in found}.values())
