"""What a run may take and what it will see: how the items are divided, what the calls will cost, how sharp the gate is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.planning import plan_gate
from meta_learning.acla.preparing import GATE_COUNT_MIN, draw
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import Splits, closed_labels
from meta_learning.cli.evolve.order import PRICED_NOBODY, Order
from meta_learning.datasets import BaseDatasetLoader
from meta_learning.errors import ConfigurationError
from meta_learning.llm import LLM
from meta_learning.llm.estimate import Estimate, calls_within, estimate
from meta_learning.llm.models import price_of

CALLS_MIN = 20
SEARCH_COUNT_MIN = 40


@dataclass(frozen=True, slots=True)
class Budget:
    """Settled before the first call. ``plan`` is the gate's, with its power."""

    config: CurriculumConfig
    splits: Splits
    estimate: Estimate
    plan: dict[str, Any]


def divided(order: Order, available: int) -> Order:
    """The order with its numbers of items: a sixth of the calls' worth to decide on, about a quarter's to search on.

    >>> order = Order(data="sentiment140", layout="sentiment140", prompt="p", calls=300)
    >>> [(one.samples, one.gate_samples) for one in (divided(order, 1000), divided(order, 60))]
    [(75, 50), (30, 30)]
    """
    gate = order.gate_samples
    if gate is None:
        gate = min(available // 2, max(GATE_COUNT_MIN, order.calls // 6))
    search = order.samples or max(1, min(available - gate, max(SEARCH_COUNT_MIN, order.calls // 4)))
    return order.model_copy(update={"samples": search, "gate_samples": gate})


async def settled(order: Order, loader: BaseDatasetLoader, llm: LLM) -> Budget:
    """The run's settings and what they mean.

    Raises:
        ConfigurationError: money is capped and nobody knows the price, or the budget pays for hardly any call.
        CallerError, MalformedInput: the data set cannot be read.
    """
    price = price_of(llm.provider, llm.model)
    if order.money is not None and price is None:
        raise ConfigurationError(PRICED_NOBODY.format(f"{llm.model} ({llm.provider})"))
    splits = await draw(lambda n: loader.get_samples(n, order.seed), order.samples or 1, order.config(order.calls))
    one = estimate(1, _chars(order.prompt, splits), _answer_tokens(order, splits, llm), price)
    paid = [
        order.calls,
        calls_within(order.tokens, one.tokens_high),
        calls_within(order.money, one.money_high_usd or 0.0),
    ]
    calls = min(count for count in paid if count is not None)
    if calls < CALLS_MIN:
        raise ConfigurationError(f"the budget pays for about {calls} calls; fewer than {CALLS_MIN} decide nothing")
    config = order.config(calls)
    guess = estimate(calls, _chars(order.prompt, splits), _answer_tokens(order, splits, llm), price)
    plan = plan_gate(len(splits.gate), calls, config.ensemble_size).report(config.alpha)
    return Budget(config, splits, guess, plan)


def _chars(prompt: str, splits: Splits) -> float:
    seed = Prompt.parse(prompt)
    return fmean(sum(len(said.text) for said in seed.messages(item.input)) for item in splits.search)


def _answer_tokens(order: Order, splits: Splits, llm: LLM) -> int:
    by_label = closed_labels(splits.search) and llm.capabilities.label_logprobs
    return 1 if by_label else order.config(order.calls).answer_tokens
