"""Put two parents together, block by block: what one does better, the other may borrow."""

from __future__ import annotations

import random
from typing import Any

from meta_learning.acla.strategies import Proposal, Proposer, Situation

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
            proposals.append(_borrowing(situation, half))
        proposals += [_borrowing(situation, [name]) for name in differing]
        return proposals[: situation.children_count]


def _borrowing(situation: Situation, names: list[str]) -> Proposal:
    assert situation.partner is not None
    parent, partner = situation.parent.prompt, situation.partner
    blocks: dict[str, Any] = {name: getattr(partner.prompt, name) for name in names}
    if names == ["rules"]:
        blocks["rules"] = tuple(dict.fromkeys((*parent.rules, *partner.prompt.rules)))
    return Proposal(parent.edit(**blocks), f"{' and '.join(names)} of {partner.version}")
