"""Put two parents together, block by block: what one does better, the other may borrow."""

from __future__ import annotations

import random
from typing import Any

from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.strategies import Proposal, Proposer, Situation, untried

BLOCKS = ("role", "task", "rules", "reasoning", "exemplars")


class Merge:
    """Takes over one differing block of the partner at a time, then several. It never asks an author."""

    name = "merge"

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """Nothing without a partner that differs."""
        parent, partner = situation.parent.prompt, situation.partner
        if partner is None:
            return []
        differing = [name for name in BLOCKS if getattr(parent, name) != getattr(partner.prompt, name)]
        rng.shuffle(differing)
        proposals = []
        if len(differing) > 1:
            half = differing[: (len(differing) + 1) // 2]
            proposals.append(_borrowing(parent, partner, half))
        proposals += [_borrowing(parent, partner, [name]) for name in differing]
        return untried(proposals, situation)


def _borrowing(parent: Prompt, partner: Candidate, names: list[str]) -> Proposal:
    blocks: dict[str, Any] = {name: getattr(partner.prompt, name) for name in names}
    if names == ["rules"]:
        blocks["rules"] = tuple(dict.fromkeys((*parent.rules, *partner.prompt.rules)))
    return Proposal(parent.edit(**blocks), f"{' and '.join(names)} of {partner.version}")
