"""The five strategies behind one protocol: each turns what is known about a prompt into a few other prompts.

Each works without a clever proposer too: templates, exemplars out of the model's own correct answers, dropped blocks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import Item


@dataclass(frozen=True, slots=True)
class Answered:
    """An item with what the parent answered."""

    item: Item
    answer: str | None


@dataclass(frozen=True, slots=True)
class Situation:
    """What a strategy may look at: the search items' answers, never the gate's."""

    parent: Candidate
    labels: tuple[str, ...] = ()
    failures: Sequence[Answered] = ()
    successes: Sequence[Answered] = ()
    history: Sequence[tuple[str, float]] = field(default=())
    # Of the failures, those that some other candidate got right: that they can be solved is known.
    solved: Sequence[Answered] = ()
    # Versions of prompts that were proposed before.
    tried: Set[str] = frozenset()
    # Answers are read off log-probabilities of labels: a written chain of thought would give them up.
    by_label: bool = False
    # Another candidate that is right where the parent is wrong.
    partner: Candidate | None = None
    children_count: int = 3


@dataclass(frozen=True, slots=True)
class Proposal:
    """A prompt with one sentence of why."""

    prompt: Prompt
    note: str


def untried(proposals: Sequence[Proposal], situation: Situation) -> list[Proposal]:
    """The first of them that were not proposed before, as many as are wanted."""
    new = [one for one in proposals if one.prompt.version not in situation.tried]
    return new[: situation.children_count]


class Proposer(Protocol):
    """The language model in its role as an author."""

    async def write(self, brief: str) -> str:
        """A rewrite as plain text; empty when the model said nothing usable."""


class Strategy(Protocol):
    """One way to change a prompt."""

    name: str

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """Up to ``children_count`` proposals, in the order in which they should be tried."""


def by_name(names: Sequence[str]) -> list[Strategy]:
    """The strategies of these names, in their order."""
    from meta_learning.acla.strategies.ablation import Ablation
    from meta_learning.acla.strategies.chain_of_thought import ChainOfThought
    from meta_learning.acla.strategies.error_analysis import ErrorAnalysis
    from meta_learning.acla.strategies.few_shot_optimization import FewShotOptimization
    from meta_learning.acla.strategies.merge import Merge
    from meta_learning.acla.strategies.performance_based import PerformanceBased

    every: list[Strategy] = [PerformanceBased(), ErrorAnalysis(), Ablation(), ChainOfThought(), FewShotOptimization()]
    every.append(Merge())
    known = {strategy.name: strategy for strategy in every}
    return [known[name] for name in names]
