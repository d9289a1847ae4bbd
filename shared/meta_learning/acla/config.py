"""The settings of one run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from meta_learning.datasets.spelling import answer_key
from meta_learning.errors import ConfigurationError

STRATEGIES = ("performance_based", "error_analysis", "ablation", "chain_of_thought", "few_shot_optimization")


@dataclass(frozen=True, slots=True)
class CurriculumConfig:
    """What to evolve, how far, and what it may cost.

    ``min_performance_threshold``: once the best prompt is surely this good (the lower end of its 95 % interval) and every
    strategy had its turn, two iterations without a gain of ``improvement_threshold``, and little chance of one, end the
    search. ``temperature`` is the proposer's; the task is always asked at 0.
    ``alpha``: the chance of calling a useless prompt an improvement. ``gate_samples``: fresh items for that decision,
    in addition to ``num_samples``. ``calls_max``, ``tokens_max`` and ``money_usd_max`` are never exceeded, and no call starts after
    ``seconds_max``; a third of the calls is kept for the gate. ``initial_calibrated``: the initial prompt is in use with
    weights on its labels, and so is measured with them. ``adaptive_order``: newcomers are asked first what tells prompts
    apart. ``tokens_price``: the score that a thousand more tokens a call must bring to be worth it. ``ensemble_size``: up to
    how many prompts may vote, each of them a call for every question; 1 is none. ``probe_items``: so many of the initial prompt's
    questions are asked again, to know how much the model wavers at temperature 0 (at most a fiftieth of the calls), and an unknown
    server is tried by one call more; 0: neither.
    ``initial_voters``: prompts in use that vote together with the initial one, each ``{"prompt": text, "calibrated": bool}``; all
    of them together are what must be beaten.
    ``labels``: the answers that there are, none where they are texts; None: those of the run's items, if they are a small closed
    set, which few items of many classes do not show; answers that differ in case, spacing or punctuation only are one.
    ``contract``: the words of ``initial_prompt`` that say how to answer, which no edit changes; empty: there are none, all may be
    changed; None: they are guessed.
    ``judge``: answers are free texts, and the model itself says of each whether it is good: what makes one so ("" for: it says the
    same as the expected one). That is a second call for every question.

    Raises:
        ConfigurationError: a value is out of bounds; the message names the field.
    """

    initial_prompt: str
    dataset_name: str
    max_iterations: int = 10
    min_performance_threshold: float = 0.7
    improvement_threshold: float = 0.05
    evolution_strategies: list[str] = field(default_factory=lambda: list(STRATEGIES))
    llm_provider: str = "anthropic"
    model_name: str | None = None
    temperature: float = 0.7
    seed: int = 0
    alpha: float = 0.1
    gate_samples: int = 100
    calls_max: int | None = None
    seconds_max: float | None = None
    children_count: int = 3
    answer_tokens: int = 32
    reasoning_tokens: int = 256
    proposal_tokens: int = 256
    prompt_chars_max: int = 6000
    calibrate: bool = True
    initial_calibrated: bool = False
    money_usd_max: float | None = None
    tokens_max: int | None = None
    adaptive_order: bool = True
    tokens_price: float = 0.0
    ensemble_size: int = 1
    probe_items: int = 20
    initial_voters: list[dict[str, Any]] = field(default_factory=list)
    labels: list[str] | None = None
    contract: str | None = None
    judge: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.initial_prompt, str) or not self.initial_prompt.strip():
            raise ConfigurationError("initial_prompt must be a text that is not empty")
        self._check_lists()
        if self.contract is not None and (
            not isinstance(self.contract, str) or self.contract not in self.initial_prompt
        ):
            raise ConfigurationError(
                f"contract is {self.contract!r}; it must stand in the prompt word for word, or be empty"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ConfigurationError(f"seed is {self.seed!r}; it must be a whole number")
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            kind, said = (int, "whole number") if name in _WHOLE else (int | float, "number")
            if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
                raise ConfigurationError(f"{name} is {value!r}; it must be a {said} in [{low}, {high}]")
        if self.judge is not None and not isinstance(self.judge, str):
            raise ConfigurationError(f"judge is {self.judge!r}; it must be a text")
        if self.judge is not None and (self.labels or self.ensemble_size > 1 or self.initial_voters):
            raise ConfigurationError(
                "judge: answers are free texts; they have no labels, and none of them can be voted for"
            )

    def _check_lists(self) -> None:
        for name in ("evolution_strategies", "initial_voters", "labels"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple) and (value is not None or name != "labels"):
                raise ConfigurationError(f"{name} is {value!r}; it must be a list")
        unknown = [name for name in self.evolution_strategies if name not in STRATEGIES]
        if unknown or not self.evolution_strategies:
            raise ConfigurationError(
                f"evolution_strategies: {unknown or 'none given'}; there are {', '.join(STRATEGIES)}"
            )
        if not all(_is_voter(voter) for voter in self.initial_voters):
            raise ConfigurationError('initial_voters: each is {"prompt": text, "calibrated": bool}')
        if self.labels:
            self._check_labels(self.labels)

    def _check_labels(self, labels: list[str]) -> None:
        if not all(isinstance(label, str) for label in labels):
            raise ConfigurationError(f"labels are {labels}; they must be texts")
        if len(set(labels)) < 2 or not all(label.strip() for label in labels):
            raise ConfigurationError(f"labels are {labels}; they must be two answers or more, none of them empty")
        if answers_count(labels) < 2:
            raise ConfigurationError(f"labels are {labels}, spellings of one answer; there must be two answers or more")

    @property
    def caps_more_than_calls(self) -> bool:
        """Whether tokens, money or time are capped: how many calls that is shows only as they are made."""
        return any(cap is not None for cap in (self.tokens_max, self.money_usd_max, self.seconds_max))

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain JSON."""
        return asdict(self)


def answers_count(labels: Iterable[str]) -> int:
    """How many answers ``labels`` are: those that differ in case, spacing or punctuation only are one.

    >>> answers_count(["yes", "Yes ", "no"])
    2
    """
    return len({answer_key(label) for label in labels})


def _is_voter(said: object) -> bool:
    if not isinstance(said, dict) or said.keys() != {"prompt", "calibrated"}:
        return False
    return isinstance(said["prompt"], str) and bool(said["prompt"].strip())


_WHOLE = {one.name for one in fields(CurriculumConfig) if str(one.type) in ("int", "int | None")}
_OPTIONAL = ("calls_max", "seconds_max", "money_usd_max", "tokens_max")
_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("max_iterations", 0, 1000),
    ("min_performance_threshold", 0.0, 1.0),
    ("improvement_threshold", 0.0, 1.0),
    ("temperature", 0.0, 2.0),
    ("alpha", 0.0001, 0.5),
    ("gate_samples", 0, 100_000),
    ("calls_max", 1, 100_000_000),
    ("seconds_max", 0.0, 1e9),
    ("money_usd_max", 0.0, 1e9),
    ("tokens_max", 1, 1e12),
    ("children_count", 1, 16),
    ("answer_tokens", 1, 4096),
    ("reasoning_tokens", 16, 16_384),
    ("proposal_tokens", 16, 16_384),
    ("prompt_chars_max", 100, 200_000),
    ("tokens_price", 0.0, 1000.0),
    ("ensemble_size", 1, 9),
    ("probe_items", 0, 1000),
)
