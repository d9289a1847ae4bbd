"""What somebody may ask of one ACLA run: the typed form of `EvolutionRequested.settings`.

>>> EvolutionSettings.read({"dataset": "sentiment140", "num_samples": 20}).max_iterations
5
>>> EvolutionSettings.read({"dataset": "sentiment140", "num_samples": -1})
Traceback (most recent call last):
...
meta_learning.errors.ConfigurationError: num_samples: Input should be greater than or equal to 1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from meta_learning.acla.config import answers_count
from meta_learning.errors import ConfigurationError
from meta_learning.events import describe

Strategy = Literal["performance_based", "error_analysis", "ablation", "chain_of_thought", "few_shot_optimization"]
STRATEGIES: tuple[Strategy, ...] = (
    "performance_based",
    "error_analysis",
    "ablation",
    "chain_of_thought",
    "few_shot_optimization",
)
PROMPT_LENGTH_MAX = 20_000
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class EvolutionBudget(BaseModel):
    """The most that one run may spend; whichever cap is reached first ends it with what it has found so far."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True)

    calls: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 1_800.0
    tokens: Annotated[int, Field(ge=1, le=10_000_000_000)] | None = None
    money_usd: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] | None = None


class EvolutionSettings(BaseModel):
    """One ACLA run. Strict: an unknown or mistyped name is refused, because a run costs time and money.

    ``initial_prompt``: None starts from the loop's current prompt, or from a plain one where the loop has none.
    ``num_samples`` are searched on; ``gate_samples`` fresh ones decide, drawn in addition.
    ``dataset``: ``feedback`` is what the loop's own users said. ``group``: ``user``, or a field of the feedback's metadata such as a
    session (``user`` of sentiment140, ``concept`` of commonsense_qa): nobody's items are both searched and decided on.
    ``provider``: ``auto`` takes Anthropic or OpenAI when the service has a key or an address for it, else the local model.
    ``promote``: False reports the better prompt without putting it to use.
    ``ensemble``: up to so many prompts may be put to use together, and vote: each is a call for every question.
    ``workers``: up to how many of the service's workers ask the model for this run at once; those that are free help.
    ``probe_items``: so many questions are asked twice, to see whether the model keeps to its answers; 0 for none.
    ``contract``: the words of the prompt that say how to answer, which no edit changes; empty: there are none; None: they are guessed.
    ``judge``: answers are free texts, and the model itself says of each whether it is good: what makes one so ("" for: it says the
    same as the expected one). That is a second call for every question.
    ``batch``: large rungs go out as batches (anthropic, openai): cheaper, and slower; one worker sends them.
    ``alpha``: the chance of putting a useless prompt to use. ``tokens_price``: the score that 1,000 more tokens a call must bring.
    ``labels``: all answers that there are, an empty list where they are texts; None: those of the items, where they are few.
    ``answer_tokens``: the most that an answer may take; ``reasoning_tokens``: the same where a prompt asks to think first; a judged
    text may take the larger of the two.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False
    )

    initial_prompt: Annotated[str, Field(min_length=1, max_length=PROMPT_LENGTH_MAX)] | None = None
    dataset: Literal["commonsense_qa", "sentiment140", "feedback"] = "feedback"
    num_samples: Annotated[int, Field(ge=1, le=10_000)] = 40
    gate_samples: Annotated[int, Field(ge=0, le=10_000)] = 100
    max_iterations: Annotated[int, Field(ge=1, le=100)] = 5
    strategies: Annotated[list[Strategy], Field(min_length=1, max_length=5)] = Field(
        default_factory=lambda: list(STRATEGIES)
    )
    provider: Literal["auto", "anthropic", "openai", "local", "transformers"] = "auto"
    model_name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    min_performance_threshold: Share = 0.7
    improvement_threshold: Share = 0.05
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.7
    budget: EvolutionBudget = Field(default_factory=EvolutionBudget)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    promote: bool = True
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    ensemble: Annotated[int, Field(ge=1, le=9)] = 1
    probe_items: Annotated[int, Field(ge=0, le=1000)] = 20
    batch: bool = False
    group: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    alpha: Annotated[float, Field(ge=0.0001, le=0.5)] = 0.1
    tokens_price: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    labels: Annotated[list[Annotated[str, Field(min_length=1, max_length=128)]], Field(max_length=100)] | None = None
    contract: Annotated[str, Field(max_length=PROMPT_LENGTH_MAX)] | None = None
    judge: Annotated[str, Field(max_length=2_000)] | None = None
    answer_tokens: Annotated[int, Field(ge=1, le=4_096)] = 32
    reasoning_tokens: Annotated[int, Field(ge=16, le=16_384)] = 256

    @model_validator(mode="after")
    def _texts_have_no_votes(self) -> Self:
        if self.judge is not None and self.ensemble > 1:
            raise ValueError("judged answers are free texts, which cannot be voted for: leave out judge or ensemble")
        if self.judge is not None and self.labels:
            raise ValueError("judged answers are free texts, which have no labels: leave out judge or labels")
        return self

    @model_validator(mode="after")
    def _contract_is_the_prompts(self) -> Self:
        # Where the prompt is the loop's own, the run finds it out at its start.
        said = self.contract.strip() if self.contract is not None else ""
        if self.initial_prompt is not None and said not in self.initial_prompt:
            raise ValueError("contract must stand in initial_prompt word for word, or be empty")
        return self

    @model_validator(mode="after")
    def _sent_by_one(self) -> Self:
        if self.batch and self.workers > 1:
            raise ValueError("a batch is sent by one worker: leave out batch or workers")
        return self

    @field_validator("initial_prompt")
    @classmethod
    def _not_blank(cls, prompt: str | None) -> str | None:
        if prompt is not None and not prompt.strip():
            raise ValueError("must be a text that is not empty")
        return prompt

    @field_validator("labels")
    @classmethod
    def _several(cls, labels: list[str] | None) -> list[str] | None:
        if labels and not all(label.strip() for label in labels):
            raise ValueError("an answer must be a text that is not empty")
        if labels and answers_count(labels) < 2:
            raise ValueError(
                "one answer is no choice, in whatever spellings: give two or more, or an empty list for texts"
            )
        return labels

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> EvolutionSettings:
        """The settings of a request, checked.

        Raises:
            ConfigurationError: a setting is unknown, of the wrong type or out of bounds; the message names it.
        """
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as error:
            raise ConfigurationError(describe(error)[0]) from None
