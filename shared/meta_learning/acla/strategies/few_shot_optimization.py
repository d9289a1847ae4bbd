"""Show examples: the model's own correct answers, balanced over the labels, random or near to its errors."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from meta_learning.acla.prompt import Exemplar
from meta_learning.acla.splits import Item
from meta_learning.acla.strategies import Answered, Proposal, Proposer, Situation

COUNTS = (2, 4, 6)
EXEMPLAR_CHARS_MAX = 400


class FewShotOptimization:
    """Swaps whole sets of exemplars: on small models that beats rewording (Wan et al., 2024). It asks no author."""

    name = "few_shot_optimization"

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """Sets of different sizes: one near to the errors, the others at random; nothing without two correct answers."""
        pool = [one for one in situation.successes if _fits(one.item)]
        found: list[Proposal] = []
        for index in range(situation.children_count):
            count = COUNTS[index % len(COUNTS)]
            near = index == 1 and bool(situation.failures)
            ordered = _near_to_errors(pool, situation.failures) if near else rng.sample(pool, len(pool))
            chosen = _balanced(ordered, count)
            if len(chosen) >= 2:
                rng.shuffle(chosen)
                found.append(_proposal(situation, chosen, "near to its errors" if near else "at random"))
        return found


def _fits(item: Item) -> bool:
    """Short, and of one paragraph: a blank line would end the example where whoever reads the prompt looks for its end."""
    return all(len(text) <= EXEMPLAR_CHARS_MAX and "\n\n" not in text for text in (item.input, item.expected))


def _proposal(situation: Situation, chosen: Sequence[Answered], how: str) -> Proposal:
    exemplars = tuple(Exemplar(one.item.input, one.item.expected, one.item.id) for one in chosen)
    return Proposal(situation.parent.prompt.edit(exemplars=exemplars), f"{len(chosen)} own correct answers, {how}")


def _balanced(ordered: Sequence[Answered], count: int) -> list[Answered]:
    """The first ``count``, taking the answers in turn, so that examples do not suggest a favourite."""
    by_answer: dict[str, list[Answered]] = {}
    for one in ordered:
        by_answer.setdefault(one.item.expected, []).append(one)
    turns = [queue[turn] for turn in range(count) for queue in by_answer.values() if turn < len(queue)]
    return turns[:count]


def _near_to_errors(pool: Sequence[Answered], failures: Sequence[Answered]) -> list[Answered]:
    """Most words shared with some failure first (Jaccard); ties by id, so that the order is always the same."""
    wrong = [_words(one) for one in failures]

    def nearness(one: Answered) -> float:
        words = _words(one)
        return max((len(words & other) / max(1, len(words | other)) for other in wrong), default=0.0)

    return sorted(pool, key=lambda one: (-nearness(one), one.item.id))


def _words(one: Answered) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", one.item.input.casefold()))
