"""The rungs, and who climbs: asynchronous halving (Li et al., 2020), the top third of all that ever stood on a rung goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.racing.shrinkage import Gain, usual_of

RUNGS = (8, 16, 48, 144, 432, 1296)
ETA = 3
# Of the calls for searching, at most such a part is one candidate's last rung: who leads and the seed are asked as much.
LAST_SHARE = 1 / 10
LAST_COUNT_MIN = 24


def rungs_up_to(count: int, calls: int | None = None) -> list[int]:
    """How many items a candidate has been asked after each rung; a last step of less than half of the rung below is none.

    ``calls``: those for searching. With few of them more candidates are worth more than all items for some.

    >>> rungs_up_to(100), rungs_up_to(50), rungs_up_to(200, 668)
    ([8, 16, 48, 100], [8, 16, 50], [8, 16, 66])
    """
    if calls is not None:
        count = min(count, max(LAST_COUNT_MIN, int(calls * LAST_SHARE)))
    below = [rung for rung in RUNGS if rung < count]
    if below and count < 1.5 * below[-1]:
        below.pop()
    return [*below, count]


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate on its rung, with its gains there."""

    candidate: Candidate
    rung: int
    over_seed: Gain
    over_best: Gain


@dataclass
class Ladder:
    """Who stands where; ``rungs`` are counts of items.

    >>> ladder = Ladder([8, 16])
    >>> ladder.last
    1
    """

    rungs: list[int]
    standings: dict[str, Standing] = field(default_factory=dict)
    _passed: list[list[tuple[str, float]]] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The index of the last rung."""
        return len(self.rungs) - 1

    def stand(self, standing: Standing) -> None:
        """Enter a candidate on the rung that it has come to."""
        self.standings[standing.candidate.version] = standing
        while len(self._passed) <= standing.rung:
            self._passed.append([])
        self._passed[standing.rung].append((standing.candidate.version, standing.over_seed.mean))

    def renew(self, leader: Candidate, over_best: Callable[[Standing], Gain]) -> None:
        """Compare everybody else with another leader, who keeps what it took the lead with."""
        for name, one in self.standings.items():
            if name != leader.version:
                self.standings[name] = replace(one, over_best=over_best(one))

    def next_up(self, affords: Callable[[Standing], bool] = lambda standing: True) -> Standing | None:
        """Who climbs next: from the highest rung on which somebody deserves to and ``affords`` it, the one with the largest gain."""
        for rung in range(self.last - 1, -1, -1):
            waiting = [
                one for one in self.standings.values() if one.rung == rung and self._deserves(one) and affords(one)
            ]
            if waiting:
                return max(waiting, key=lambda one: one.over_seed.mean)
        return None

    def usual_gain(self, candidate: Candidate) -> float:
        """What the others of the same strategy bring on average, never above 0: so much is expected of it before it is asked anything.

        Were a gain expected of all of them, several would look as good and share the level of the gate (benchmarks/LOG.md).
        """
        kind = [
            one.over_seed
            for one in self.standings.values()
            if one.candidate.strategy == candidate.strategy and one.candidate.prompt.version != candidate.prompt.version
        ]
        return min(0.0, usual_of(kind))

    def finished(self) -> list[Candidate]:
        """Candidates on the last rung, in the order in which they came to it."""
        return [one.candidate for one in self.standings.values() if one.rung == self.last]

    def _deserves(self, standing: Standing) -> bool:
        """Not behind the best at the first rung; later ahead of it and of the seed, and in the top third of the rung.

        A child of the best shares its luck on these items: to be as good there is nothing to go on with.
        """
        if standing.rung == 0:
            return standing.over_best.mean >= 0.0
        if standing.over_seed.mean <= 0.0 or standing.over_best.mean <= 0.0:
            return False
        others = self._passed[standing.rung]
        ahead = sum(gain > standing.over_seed.mean for _, gain in others)
        return ahead < max(1, len(others) // ETA)
