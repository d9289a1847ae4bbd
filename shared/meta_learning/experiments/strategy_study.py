"""Which strategies work: each alone, each left out, and the learned mix, then the winning prompts where they were not found.

>>> config = StrategyStudyConfig.read({"kind": "strategies", "name": "tweets", "budgets": [100],
...                                    "datasets": [{"name": "sentiment140", "initial_prompt": "Judge."}]})
>>> [cell.strategy for cell in config.cells()][:3], len(config.cells())
(['static', 'thresholds', 'meta'], 13)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from meta_learning.acla import STRATEGIES
from meta_learning.clrs.perturbations import PERTURBATIONS
from meta_learning.experiments.config import THRESHOLDS, Cell, Datasets, ModelSpec, Search, Sizes, StudyConfig
from meta_learning.experiments.grid import Grid
from meta_learning.experiments.judging import JudgingCell, Perturbation
from meta_learning.experiments.report import arm_name

KIND: Literal["strategies"] = "strategies"
ARMS = ("static", THRESHOLDS, "meta", *(f"only:{one}" for one in STRATEGIES), *(f"without:{one}" for one in STRATEGIES))
JUDGED = ("static", "meta")
# Of another data set so many items are drawn to know its labels by; the others are for testing.
KNOWN_COUNT = 20


class StrategyStudyConfig(Grid):
    """A grid of all arms, and what the learned mix came to, judged on ``perturbations``, other data sets and other models.

    ``transfer_datasets`` must have the labels of those that prompts are found on, to mean anything; their ``initial_prompt`` is
    not used, and nothing is searched there, so that all their items are for testing. ``judged_samples``: how many items each of
    these judgements takes (None: as many as the arms were tested on).
    """

    kind: Literal["strategies"]
    datasets: Annotated[Datasets, Field(min_length=1, max_length=100)]
    models: Annotated[list[ModelSpec], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: [ModelSpec()]
    )
    budgets: Annotated[list[Annotated[int, Field(ge=1)] | None], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: list[int | None]([None])
    )
    sizes: Sizes = Field(default_factory=Sizes)
    search: Search = Field(default_factory=dict)
    perturbations: list[Perturbation] = Field(default_factory=lambda: list(PERTURBATIONS))
    transfer_datasets: Datasets = Field(default_factory=list)
    transfer_models: list[ModelSpec] = Field(default_factory=list)
    judged_samples: Annotated[int, Field(ge=20)] | None = None

    def cells(self) -> list[Cell]:
        """The arms, in a fixed order."""
        study = StudyConfig(
            name=self.name,
            datasets=self.datasets,
            models=self.models,
            strategies=list(ARMS),
            seeds=self.seeds,
            budgets=self.budgets,
            sizes=self.sizes,
            search=self.search,
        )
        return study.cells()

    def later(self, results: Sequence[Mapping[str, Any]]) -> list[JudgingCell]:
        """What is judged once the arms have found their prompts: the static one and those of the learned mix, seed by seed."""
        found = [
            cell
            for result in results
            if result["cell"].get("strategy") in JUDGED
            for cell in self._judged(Cell.model_validate(result["cell"]), result["made"])
        ]
        return list({cell.id: cell for cell in found}.values())

    @property
    def later_count(self) -> int:
        """How many cells `later` names once all arms are there."""
        mixes = len(self.datasets) * len(self.models) * len(self.seeds) * (1 + len(self.budgets))
        return mixes * (len(self.perturbations) + len(self.transfer_datasets) + len(self.transfer_models))

    def _judged(self, cell: Cell, made: Mapping[str, Any]) -> list[JudgingCell]:
        assert cell.model is not None, "every arm of this study asks a model"
        here = JudgingCell(
            seed=cell.seed,
            arm=arm_name(cell.model_dump(mode="json")),
            found_on=f"{cell.dataset.name} · {cell.model.title}",
            text=made.get("best_prompt") or cell.dataset.initial_prompt,
            label_bias=(made.get("best_package") or {}).get("label_bias") or {},
            dataset=cell.dataset,
            model=cell.model,
            sizes=self.sizes,
        )
        few = here.model_copy(update={"count": self.judged_samples})
        only_tested = self.sizes.model_copy(update={"sample_size": KNOWN_COUNT, "gate_samples": 0})
        return [
            *(few.model_copy(update={"perturbation": one}) for one in self.perturbations),
            *(few.model_copy(update={"dataset": one, "sizes": only_tested}) for one in self.transfer_datasets),
            *(few.model_copy(update={"model": one.here}) for one in self.transfer_models),
        ]
