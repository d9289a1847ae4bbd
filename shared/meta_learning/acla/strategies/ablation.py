"""Take something away: what a prompt does without, it should do without."""

from __future__ import annotations

import random
import re

from meta_learning.acla.prompt import Prompt
from meta_learning.acla.strategies import Proposal, Proposer, Situation, untried

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Ablation:
    """Drops one block, rule, exemplar or sentence at a time. It never asks an author."""

    name = "ablation"

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """The possible cuts in random order; nothing where there is only one sentence left."""
        cuts = _cuts(situation.parent.prompt)
        rng.shuffle(cuts)
        return untried(cuts, situation)


def _cuts(prompt: Prompt) -> list[Proposal]:
    cuts = [Proposal(prompt.edit(role=""), "without the role")] if prompt.role and prompt.task else []
    if prompt.reasoning:
        cuts.append(Proposal(prompt.edit(reasoning=""), "without the reasoning"))
    cuts += [
        Proposal(prompt.edit(rules=prompt.rules[:index] + prompt.rules[index + 1 :]), f"without rule {index + 1}")
        for index in range(len(prompt.rules))
    ]
    cuts += [
        Proposal(
            prompt.edit(exemplars=prompt.exemplars[:index] + prompt.exemplars[index + 1 :]),
            f"without example {index + 1}",
        )
        for index in range(len(prompt.exemplars))
    ]
    sentences = _SENTENCE.split(prompt.task)
    if len(sentences) > 1:
        cuts += [
            Proposal(
                prompt.edit(task=" ".join(sentences[:index] + sentences[index + 1 :])), f"without sentence {index + 1}"
            )
            for index in range(len(sentences))
        ]
    return cuts
