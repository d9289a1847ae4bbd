"""The typed form of a search for settings: of a closed loop, or of the agent that evolves prompts.

>>> config = TuningConfig.read({"kind": "tuning", "name": "loops", "loop": {"texts": {"name": "sentiment140"}},
...                             "space": {"cycle_size": {"low": 20, "high": 200}}, "trials": 4, "seeds": [0]})
>>> config.trial_cells({"cycle_size": 50})[0].settings
{'cycle_size': 50}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from meta_learning.acla.config import CurriculumConfig
from meta_learning.clrs.settings import LoopSettings
from meta_learning.experiments.config import SEARCHED, Cell, DatasetSpec, ModelSpec, Sizes, Value
from meta_learning.experiments.grid import Grid, GridCell, Seeds, Strict
from meta_learning.experiments.loops.config import Answers, LoopCell, Percent, Texts
from meta_learning.experiments.loops.users import Users

KIND: Literal["tuning"] = "tuning"


class Range(Strict):
    """Where a setting may lie: between ``low`` and ``high`` (whole numbers if both are), or one of ``choices``."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: list[Value] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("give low and high, or choices")
        return self


class LoopTarget(Strict):
    """A closed loop over simulated users; the score is a number of a feedback-loop study's cell."""

    texts: Texts
    users: Users = Field(default_factory=lambda: Users.model_validate("stable"))
    answers: Answers = "one"
    asked: Percent = 100.0
    events: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    score: Literal["accuracy_end", "alignment_quarter"] = "accuracy_end"


class PromptTarget(Strict):
    """An evolution of a prompt; the score is the accuracy of what it found on fresh items."""

    dataset: DatasetSpec
    model: ModelSpec = Field(default_factory=ModelSpec)
    budget: Annotated[int, Field(ge=1)] | None = 150
    sizes: Sizes = Field(default_factory=Sizes)


class TunedCell(Cell):
    """An evolution with settings of its own beside those of every arm."""

    kind: Literal["tuned"] = "tuned"


class TuningConfig(Grid):
    """``trials`` settings out of ``space``, each judged on ``seeds``; the best and the default again on ``judge_seeds``.

    ``at_once``: trials that are drawn before any of them is known; more of them keep more workers busy, and learn less from
    each other. The same file draws the same trials, whatever died in between.
    """

    kind: Literal["tuning"]
    loop: LoopTarget | None = None
    prompt: PromptTarget | None = None
    space: Annotated[dict[str, Range], Field(min_length=1, max_length=20)]
    trials: Annotated[int, Field(ge=1, le=10_000)] = 30
    at_once: Annotated[int, Field(ge=1, le=64)] = 2
    judge_seeds: Seeds = Field(default_factory=lambda: [1001, 1002, 1003])
    sampler_seed: int = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.loop is None) == (self.prompt is None):
            raise ValueError("give loop or prompt: what is to be tuned")
        known = tuple(LoopSettings.__dataclass_fields__) if self.loop else SEARCHED
        unknown = [name for name in self.space if name not in known or name == "seed"]
        if unknown:
            raise ValueError(f"space: there is no setting {unknown[0]!r} here; there are {', '.join(known)}")
        if set(self.seeds) & set(self.judge_seeds):
            raise ValueError("judge_seeds must be others than seeds: what was chosen on a seed is flattered by it")
        return self

    def cells(self) -> Sequence[GridCell]:
        """The default settings on the seeds of the search: what the first trial asks for."""
        return self.trial_cells(self.defaults())

    def defaults(self) -> dict[str, Value]:
        """The default of each setting that is searched for."""
        fields: Mapping[str, Any] = (LoopSettings if self.loop else CurriculumConfig).__dataclass_fields__
        return {name: fields[name].default for name in self.space}

    def trial_cells(self, settings: Mapping[str, Value], judged: bool = False) -> list[LoopCell | TunedCell]:
        """A cell a seed; those of the judgement with ``judged``."""
        return [self._cell(dict(settings), seed) for seed in (self.judge_seeds if judged else self.seeds)]

    def score_of(self, result: Mapping[str, Any]) -> float:
        """What a trial is judged by."""
        if self.loop is not None:
            return float(result["numbers"][self.loop.score])
        return float(result["evaluation"]["accuracy"]["value"])

    def _cell(self, settings: dict[str, Value], seed: int) -> LoopCell | TunedCell:
        if self.loop is not None:
            said = self.loop.model_dump(exclude={"score"})
            return LoopCell.model_validate({**said, "seed": seed, "settings": settings})
        assert self.prompt is not None
        said = self.prompt.model_dump()
        return TunedCell.model_validate({**said, "strategy": "meta", "seed": seed, "search": settings})


def checked(config: TuningConfig) -> TuningConfig:
    """``config``, once the default and the corners of its space are known to be possible settings.

    Raises:
        ConfigurationError: a bound of the space is out of the bounds of its setting.
    """
    ends = [{name: one.high for name, one in config.space.items() if one.high is not None}]
    ends += [{name: one.low for name, one in config.space.items() if one.low is not None}]
    for settings in ends:
        if config.loop is not None:
            LoopSettings(**settings)  # type: ignore[arg-type]
        else:
            assert config.prompt is not None
            said: dict[str, Any] = {"initial_prompt": "x", "dataset_name": config.prompt.dataset.name, **settings}
            CurriculumConfig(**said)
    return config
