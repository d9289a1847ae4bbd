"""What a run may take and what it will see: how the items are divided, what the calls will cost, how sharp the gate is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.planning import plan_gate
from meta_learning.acla.preparing import GATE_COUNT_MIN, draw
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import Item, Splits, closed_labels, read_items
from meta_learning.cli.evolve.order import PRICED_NOBODY, Order
from meta_learning.datasets import BaseDatasetLoader
from meta_learning.errors import ConfigurationError
from meta_learning.llm import LLM
from meta_learning.llm.estimate import Estimate, calls_within, estimate
from meta_learning.llm.models import price_of

# A gate gets a third of the calls, half of them for the seed prompt: of fewer than ten pairs hardly any gain is beyond chance.
CALLS_MIN = 60
SEARCH_COUNT_MIN = 40
# Enough items to know how long they are.
MEASURED_COUNT = 50


@dataclass(frozen=True, slots=True)
class Budget:
    """Settled before the first call. ``order`` has its numbers of items; ``plan`` is the gate's, with its power."""

    order: Order
    config: CurriculumConfig
    splits: Splits
    estimate: Estimate
    plan: dict[str, Any]


def divided(order: Order, available: int, calls: int) -> Order:
    """The order with its numbers of items: a sixth of the calls' worth to decide on, about a quarter's to search on.

    >>> order = Order(data="sentiment140", layout="sentiment140", prompt="p")
    >>> [(one.samples, one.gate_samples) for one in (divided(order, 1000, 300), divided(order, 60, 300), divided(order, 1000, 60))]
    [(75, 50), (30, 30), (20, 20)]
    """
    gate = order.gate_samples
    if gate is None:
        gate = min(available // 2, max(GATE_COUNT_MIN, calls // 6))
    search = order.samples or max(1, min(available - gate, calls // 3, max(SEARCH_COUNT_MIN, calls // 4)))
    return order.model_copy(update={"samples": search, "gate_samples": gate})


async def settled(order: Order, loader: BaseDatasetLoader, llm: LLM) -> Budget:
    """The run's settings and what they mean.

    Raises:
        ConfigurationError: money is capped and nobody knows the price, or the budget pays for too few calls.
        CallerError, MalformedInput: the data set cannot be read.
    """
    price = price_of(llm.provider, llm.model)
    if order.money is not None and price is None:
        raise ConfigurationError(PRICED_NOBODY.format(f"{llm.model} ({llm.provider})"))
    items = read_items(loader.get_samples(min(len(loader), MEASURED_COUNT), order.seed))
    chars, turns = _length(order.prompt, items)
    example = fmean(len(item.input) + len(item.expected) for item in items)
    answer = _answer_tokens(order, items, llm)
    calls = _calls_within(order, estimate(1, chars, answer, price, turns, example))
    if calls < CALLS_MIN:
        raise ConfigurationError(f"the budget pays for about {calls} calls; fewer than {CALLS_MIN} decide nothing")
    order = divided(order, len(loader), calls)
    config = order.config(calls)
    splits = await draw(lambda n: loader.get_samples(n, order.seed), order.samples or 1, config)
    plan = plan_gate(len(splits.gate), calls, config.ensemble_size).report(config.alpha)
    if (left := calls - plan["calls_kept"]) <= len(splits.search):
        asked = f"{len(splits.search)} items to search on take more than the {left} calls that the decision leaves of {calls}"
        raise ConfigurationError(f"{asked}: give fewer --samples or more --calls")
    guess = estimate(calls, chars, answer, price, turns, example)
    return Budget(order, config, splits, guess.in_batches(price) if order.batch else guess, plan)


def _calls_within(order: Order, one: Estimate) -> int:
    """How many calls the tightest cap pays for, if they become as dear as they probably may."""
    by_tokens = calls_within(order.tokens, one.tokens_high)
    by_money = calls_within(order.money, one.money_high_usd or 0.0)
    return min(count for count in (order.calls, by_tokens, by_money) if count is not None)


def _length(prompt: str, items: Sequence[Item]) -> tuple[float, int]:
    """The characters of a question, and its turns: those of the examples are paid with each."""
    asked = [Prompt.parse(prompt).messages(item.input) for item in items]
    return fmean(sum(len(said.text) for said in messages) for messages in asked), len(asked[0])


def _answer_tokens(order: Order, items: Sequence[Item], llm: LLM) -> int:
    by_label = closed_labels(items) and llm.capabilities.label_logprobs
    return 1 if by_label else order.config(order.calls).answer_tokens
