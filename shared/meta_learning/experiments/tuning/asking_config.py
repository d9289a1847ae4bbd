"""The typed form of a search for how a prompt is asked: at which temperature, with how many examples, of which model.

>>> config = AskingConfig.read({"kind": "asking", "name": "tweets", "space": {"shots": {"choices": [0, 2, 4]}},
...                             "dataset": {"name": "sentiment140", "initial_prompt": "Judge the tweet."}})
>>> config.defaults(), config.shots_max
({'shots': 0}, 4)
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from meta_learning.acla.planning import GatePlan
from meta_learning.experiments.config import DatasetSpec, ModelSpec, Value
from meta_learning.experiments.grid import NamedSettings, Strict
from meta_learning.experiments.tuning.config import Range
from meta_learning.llm.models import DEFAULTS

KIND: Literal["asking"] = "asking"
SHOTS_MAX, TEMPERATURE_MAX = 32, 2.0
Dimension = Literal["temperature", "shots", "model_name"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Limits(Strict):
    """The most that a search and its decision may take together."""

    calls: Annotated[int, Field(ge=60, le=10_000_000)] = 1000
    tokens: Annotated[int, Field(ge=1)] | None = None
    money_usd: Positive | None = None
    seconds: Positive | None = None


class AskingConfig(NamedSettings):
    """``trials`` ways to ask one prompt, each on the same ``items``; the best is judged against the default on fresh ``gate_items``.

    The default is temperature 0, no examples and ``model``. All models are ``model``'s provider's, under one set of ``caps``.
    """

    kind: Literal["asking"]
    dataset: DatasetSpec
    model: ModelSpec = Field(default_factory=ModelSpec)
    space: Annotated[dict[Dimension, Range], Field(min_length=1)]
    trials: Annotated[int, Field(ge=2, le=10_000)] = 20
    items: Annotated[int, Field(ge=8, le=100_000)] = 48
    gate_items: Annotated[int, Field(ge=20, le=100_000)] = 100
    caps: Limits = Field(default_factory=Limits)
    alpha: Annotated[float, Field(ge=0.0001, le=0.5)] = 0.1
    answer_tokens: Annotated[int, Field(ge=1, le=4096)] = 32
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, one in self.space.items():
            ends = one.choices if one.choices is not None else [one.low or 0, one.high or 0]
            default = self.defaults()[name]
            if one.choices is not None and default not in ends:
                raise ValueError(
                    f"space: the choices of {name} must hold its default, {default!r}: it is the first trial"
                )
            if name == "model_name" and not all(isinstance(end, str) for end in ends):
                raise ValueError("space: model_name has choices, which are names")
            if name != "model_name" and not _within(name, ends):
                raise ValueError(f"space: {name} lies between 0 and {_bound(name)}, and may be 0")
        return self

    def defaults(self) -> dict[str, Value]:
        """What is asked without a search."""
        model = self.model.model_name or DEFAULTS.get(self.model.provider, "")
        known: dict[str, Value] = {"temperature": 0.0, "shots": 0, "model_name": model}
        return {name: known[name] for name in self.space}

    @property
    def shots_max(self) -> int:
        """The most examples of any trial."""
        one = self.space.get("shots")
        return 0 if one is None else int(max(one.choices or [one.high or 0], key=float))

    def plan(self, fresh_count: int) -> GatePlan:
        """What is kept for one finalist and the default: at most a third of the calls."""
        return GatePlan(min(self.gate_items, fresh_count, self.caps.calls // 6), finalists_count=1)


def _bound(name: str) -> float:
    return SHOTS_MAX if name == "shots" else TEMPERATURE_MAX


def _within(name: str, ends: list[Any]) -> bool:
    numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
    whole = name != "shots" or all(isinstance(end, int) for end in numbers)
    return len(numbers) == len(ends) and whole and min(numbers) == 0 and max(numbers) <= _bound(name)
