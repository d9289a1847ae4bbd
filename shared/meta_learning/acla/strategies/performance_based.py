"""Learn from the scores so far: show past instructions with their scores, ask for a better one (OPRO, Yang et al., 2023)."""

from __future__ import annotations

import random

from meta_learning.acla.strategies import Proposal, Proposer, Situation, untried

HISTORY_COUNT = 5
FRAMINGS = (
    "You are an expert annotator. You read closely and decide without hesitation.",
    "You are a careful reader who weighs the whole text before deciding.",
    "You are a precise classifier. You never explain, you only decide.",
)
EMPHASES = (
    "Judge what the text as a whole means, not single words.",
    "Look at how the writer feels or thinks, not at the topic.",
    "Consider every possible answer before you choose; each is equally likely.",
)


class PerformanceBased:
    """One instruction by the author, the rest from templates: another role, another emphasis, the labels spelled out."""

    name = "performance_based"

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """A rewritten task first, then templates in random order."""
        parent = situation.parent.prompt
        written = await proposer.write(_brief(situation))
        proposals = [Proposal(parent.edit(task=written), "rewritten in view of the scores so far")] if written else []
        templates = _templates(situation)
        rng.shuffle(templates)
        return untried(proposals + templates, situation)


def _templates(situation: Situation) -> list[Proposal]:
    parent = situation.parent.prompt
    found = [Proposal(parent.edit(role=role), "another role") for role in FRAMINGS if role != parent.role]
    found += [
        Proposal(parent.edit(rules=(*parent.rules, rule)), "another emphasis")
        for rule in EMPHASES
        if rule not in parent.rules
    ]
    if situation.labels:
        spelled = f"Answer with exactly one of: {', '.join(situation.labels)}."
        if spelled not in parent.rules:
            found.append(Proposal(parent.edit(rules=(*parent.rules, spelled)), "the possible answers spelled out"))
    return found


def _brief(situation: Situation) -> str:
    best_last = sorted(situation.history, key=lambda pair: pair[1])[-HISTORY_COUNT:]
    tried = "\n\n".join(f"Score {100 * score:.0f}:\n{text}" for text, score in best_last)
    examples = "\n".join(
        f"Input: {one.item.input[:300]}\nExpected: {one.item.expected}" for one in situation.successes[:3]
    )
    return (
        "Instructions for a language model, with their scores from 0 to 100:\n\n"
        f"{tried}\n\nWhat the instruction is for:\n{examples}\n\n"
        "Write a new instruction that differs from all of these and scores higher. "
        f"It replaces this part:\n{situation.parent.prompt.task}\n\n"
        "Put only the new instruction between ``` and ```."
    )
