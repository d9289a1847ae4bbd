"""Prompts that vote: chosen greedily for what they get right together (Caruana et al., 2004), each of them a call more."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from meta_learning.acla.outcomes import Candidate, OutcomeMatrix
from meta_learning.acla.parsing import is_right
from meta_learning.acla.racing.shrinkage import Gain, shrunken_gain
from meta_learning.acla.splits import Item

ITEMS_COUNT_MIN = 24
# Voting with others raises a prompt's accuracy by a few points; those that were chosen look as if by more.
RAISE_SD = 0.035


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Two or more packages, asked together; the first decides a tie. Its price is a call for each."""

    members: tuple[Candidate, ...]

    @property
    def version(self) -> str:
        """The members' versions."""
        return "+".join(one.version for one in self.members)


Contender = Candidate | Ensemble


def members_of(contender: Contender) -> tuple[Candidate, ...]:
    """The voters; a single package is the only one."""
    return contender.members if isinstance(contender, Ensemble) else (contender,)


def vote(matrix: OutcomeMatrix, members: Sequence[Candidate], item: Item) -> str | None:
    """What they answer together: the product of their chances where all of them give some, else the majority."""
    chances = [_log_chances(matrix, one, item) for one in members]
    if all(chances):
        labels = chances[0].keys()
        return max(labels, key=lambda label: sum(one[label] for one in chances))
    said = [one for one in (matrix.decision(member, item) for member in members) if one is not None]
    # Counter keeps the order of first votes, so that the first member decides a tie.
    return Counter(said).most_common(1)[0][0] if said else None


def voted_score(matrix: OutcomeMatrix, members: Sequence[Candidate], item: Item) -> float | None:
    """Right or wrong together; None where some member's answer is missing. A single member has its own score."""
    if len(members) == 1:
        return matrix.score(members[0], item)
    if any(matrix.score(one, item) is None for one in members):
        return None
    return float(is_right(vote(matrix, members, item), item.expected))


def chosen(
    matrix: OutcomeMatrix,
    best: Candidate,
    others: Sequence[Candidate],
    items: Sequence[Item],
    size_max: int,
    price: Callable[[Candidate], float] = lambda voter: 0.0,
) -> Ensemble | None:
    """Add to ``best`` whoever helps most on the items that all have answered, as long as somebody helps by more than the ``price`` of
    a call (in score); None if nobody does.

    Nobody votes twice, not even as another package of the same prompt: that would be one more call a question for the same answer.
    """
    members: list[Candidate] = [best]
    while len(members) < size_max:
        # Also two at a time: where answers are counted, one more voter than a single one only makes ties.
        sizes = [size for size in (1, 2) if len(members) + size <= size_max]
        more = [list(few) for size in sizes for few in combinations(others, size) if _differ([*members, *few])]
        gains = [(_raise(matrix, members, few, items, sum(map(price, few))), -index) for index, few in enumerate(more)]
        gain, index = max(gains, default=(0.0, 0))
        if gain <= 0.0:
            break
        members += more[-index]
    return Ensemble(tuple(members)) if len(members) > 1 else None


def _differ(members: Sequence[Candidate]) -> bool:
    return len({one.prompt.version for one in members}) == len(members)


def gain_over(
    matrix: OutcomeMatrix,
    members: Sequence[Candidate],
    others: Sequence[Candidate],
    items: Sequence[Item],
    price: float = 0.0,
) -> tuple[Gain, float]:
    """What ``members`` are right more often than ``others`` where all have answered (shrunken), the ``price`` of their further calls
    paid, and how often the two differ."""
    pairs = [(voted_score(matrix, members, item), voted_score(matrix, others, item)) for item in items]
    known = [new - old for new, old in pairs if new is not None and old is not None]
    return shrunken_gain([one - price for one in known], RAISE_SD), sum(map(abs, known)) / max(1, len(known))


def _raise(
    matrix: OutcomeMatrix, members: list[Candidate], more: list[Candidate], items: Sequence[Item], price: float
) -> float:
    gain, _ = gain_over(matrix, members + more, members, items, price)
    return gain.mean if gain.count >= ITEMS_COUNT_MIN else 0.0


def _log_chances(matrix: OutcomeMatrix, member: Candidate, item: Item) -> dict[str, float]:
    said = matrix.said_of_labels(member, item)
    if said is None or not member.calibrated:
        return {}
    weights = matrix.calibration(member, item)
    return {label: math.log(max(1e-9, weights.probability(said, label))) for label in said}
