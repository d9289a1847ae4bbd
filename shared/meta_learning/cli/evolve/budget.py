"""What a run may take and what it will see: how the items are divided, what the calls will cost, how sharp the gate is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.model_judge import BRIEF_CHARS, CALLS_EACH, VERDICT_TOKENS
from meta_learning.acla.planning import plan_gate
from meta_learning.acla.preparing import GATE_COUNT_MIN, draw, labels_of
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import Item, Splits, read_items
from meta_learning.cli.evolve.beware import Seen
from meta_learning.cli.evolve.order import PRICED_NOBODY, Order
from meta_learning.datasets import BaseDatasetLoader
from meta_learning.errors import ConfigurationError
from meta_learning.llm import LLM
from meta_learning.llm.estimate import CHARS_PER_TOKEN, Estimate, calls_within, estimate
from meta_learning.llm.models import price_of

# A gate gets a third of the calls, half of them for the seed prompt: of fewer than ten pairs hardly any gain is beyond chance.
CALLS_MIN = 60
SEARCH_COUNT_MIN = 40
# Fewer items than these nobody wants to search on who has not said so.
SEARCH_LEFT_MIN = 20
# Enough items to know how long they are, and enough rows to know how many repeat an input.
MEASURED_COUNT, ROWS_COUNT_MAX = 50, 50_000


@dataclass(frozen=True, slots=True)
class Budget:
    """Settled before the first call. ``order`` has its numbers of items; ``plan`` is the gate's, with its power.

    ``left``: different inputs that could be decided on; ``beware``: what to know of the data, a line each.
    """

    order: Order
    config: CurriculumConfig
    splits: Splits
    estimate: Estimate
    plan: dict[str, Any]
    left: int = 0
    beware: tuple[str, ...] = ()


def divided(order: Order, available: int, calls: int) -> Order:
    """The order with its numbers of items: a sixth of the calls' worth to decide on, about a quarter's to search on.

    ``available``: different inputs. What the one number leaves is all that the other can be; where that makes no decision, all are
    searched on.

    >>> order = Order(data="sentiment140", layout="sentiment140", prompt="p")
    >>> [(one.samples, one.gate_samples) for one in (divided(order, 1000, 300), divided(order, 60, 300), divided(order, 1000, 60))]
    [(75, 50), (30, 30), (20, 20)]
    >>> many = order.model_copy(update={"samples": 180})
    >>> [(one.samples, one.gate_samples) for one in (divided(many, 200, 900), divided(order, 30, 300))]
    [(180, 20), (30, 0)]

    Raises:
        ConfigurationError: the items to decide on leave too few to search on.
    """
    gate = order.gate_samples
    if order.samples is None and gate and gate >= GATE_COUNT_MIN and available - gate < SEARCH_LEFT_MIN:
        most = max(0, available - SEARCH_LEFT_MIN)
        advice = (
            f"give {most} at most" if most >= GATE_COUNT_MIN else f"that takes {SEARCH_LEFT_MIN}: take more data, or 0"
        )
        left = f"{max(0, available - gate)} of {available} different inputs to search on"
        raise ConfigurationError(f"--gate-samples {gate} leaves {left}; {advice}")
    kept = available // 2 if order.samples is None else max(0, available - order.samples)
    gate = min(kept, max(GATE_COUNT_MIN, calls // 6)) if gate is None else min(gate, available - (order.samples or 0))
    if gate < GATE_COUNT_MIN:
        gate = 0
    within = max(1, min(available - gate, calls // 3, max(SEARCH_COUNT_MIN, calls // 4)))
    search = within if order.samples is None else min(order.samples, available)
    return order.model_copy(update={"samples": search, "gate_samples": gate})


async def settled(order: Order, loader: BaseDatasetLoader, llm: LLM) -> Budget:
    """The run's settings and what they mean.

    Raises:
        ConfigurationError: money is capped and nobody knows the price, the budget pays for too few calls, or there are too few items.
        CallerError, MalformedInput: the data set cannot be read.
    """
    price = price_of(llm.provider, llm.model)
    if order.money is not None and price is None:
        raise ConfigurationError(PRICED_NOBODY.format(f"{llm.model} ({llm.provider})"))
    seen = _seen(order, loader)
    items = seen.items[:MEASURED_COUNT]
    chars, turns = _length(order.prompt, items)
    answer = _answer_tokens(order, seen.items, llm)
    example = fmean(len(item.input) + len(item.expected) for item in items)
    if order.judge is not None:
        # Every other call: the question with the expected answer and the one to judge, which is as long at most.
        judged = example + answer * CHARS_PER_TOKEN + BRIEF_CHARS
        chars, answer = (chars + judged) / CALLS_EACH, (answer + VERDICT_TOKENS) // CALLS_EACH
    calls = _calls_within(order, estimate(1, chars, answer, price, turns, example))
    if calls < CALLS_MIN:
        raise ConfigurationError(f"the budget pays for about {calls} calls; fewer than {CALLS_MIN} decide nothing")
    each = 1 if order.judge is None else CALLS_EACH
    said, order = order, divided(order, seen.available, calls // each)
    config = order.config(calls)
    splits = await draw(lambda n: loader.get_samples(n, order.seed), order.samples or 1, config)
    plan = plan_gate(len(splits.gate), calls, config.ensemble_size, calls_each=each).report(config.alpha)
    if (left := calls - plan["calls_kept"]) <= each * len(splits.search):
        asked = f"{len(splits.search)} items to search on take more than the {left} calls that the decision leaves of {calls}"
        raise ConfigurationError(f"{asked}: give fewer --samples or more --calls")
    guess = estimate(calls, chars, answer, price, turns, example)
    guess = guess.in_batches(price) if order.batch else guess
    left = max(0, seen.available - len(splits.search))
    left = left if said.gate_samples is None else min(left, said.gate_samples)
    beware = (*_fewer(said, order), *seen.beware(splits, labels_of(config, (*splits.search, *splits.gate))))
    return Budget(order, config, splits, guess, plan, left, beware)


def _seen(order: Order, loader: BaseDatasetLoader) -> Seen:
    """The rows, in the order in which a run draws them."""
    rows_count = len(loader)
    if order.samples is not None and order.samples > rows_count:
        raise ConfigurationError(
            f"--samples {order.samples}: {Path(order.data).name} has {rows_count} rows; give fewer"
        )
    return Seen(read_items(loader.get_samples(min(rows_count, ROWS_COUNT_MAX), order.seed)), rows_count)


def _fewer(asked: Order, order: Order) -> list[str]:
    """Where both numbers were said and there is not enough for both."""
    pairs = (("--samples", asked.samples, order.samples), ("--gate-samples", asked.gate_samples, order.gate_samples))
    return [
        f"{option} {said}: there are enough different inputs for {got} only"
        for option, said, got in pairs
        if said is not None and got is not None and got < said and said >= GATE_COUNT_MIN
    ]


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
    if order.judge is not None:
        return max(order.answer_tokens, order.reasoning_tokens)
    by_label = llm.capabilities.label_logprobs and labels_of(order.config(order.calls), items)
    return 1 if by_label else order.answer_tokens
