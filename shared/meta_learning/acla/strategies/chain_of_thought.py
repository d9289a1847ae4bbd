"""Change how the model thinks before it answers: aloud, with a marked last line, or silently."""

from __future__ import annotations

import random

from meta_learning.acla.strategies import Proposal, Proposer, Situation, untried

ALOUD = (
    "Think step by step in one or two short sentences. Then write a last line of the form\nAnswer: <your answer>",
    "First quote the words that matter most and say what they suggest. Then write a last line of the form\nAnswer: <your answer>",
)
SILENT = (
    "Before answering, silently consider the evidence for each possible answer.",
    "Take a moment to understand what is really being said, then answer at once.",
)


class ChainOfThought:
    """Toggles and swaps reasoning directives; an author writes one that fits the task."""

    name = "chain_of_thought"

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """A silent directive first (it costs nothing to answer), then one aloud, then the author's, then the rest."""
        parent = situation.parent.prompt
        silent = [
            Proposal(parent.edit(reasoning=text), "thinks silently") for text in SILENT if text != parent.reasoning
        ]
        aloud = [Proposal(parent.edit(reasoning=text), "thinks aloud") for text in ALOUD if text != parent.reasoning]
        rng.shuffle(silent)
        rng.shuffle(aloud)
        written = await proposer.write(_brief(situation))
        own = [Proposal(parent.edit(reasoning=written), "a way of thinking written for this task")] if written else []
        none = [Proposal(parent.edit(reasoning=""), "no reasoning")] if parent.reasoning else []
        if situation.by_label:
            return untried([*none, *silent, *own, *aloud[:1]], situation)
        return untried([*none, *silent[:1], *own, *aloud[:1], *silent[1:], *aloud[1:]], situation)


def _brief(situation: Situation) -> str:
    return (
        f"A language model follows this instruction:\n{situation.parent.prompt.render()}\n\n"
        "Write one sentence that tells it what to consider silently, step by step, before it gives its short answer. "
        "Put only that sentence between ``` and ```."
    )
