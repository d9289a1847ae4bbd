"""What is in use and must be beaten: measured before anything is tried, with enough answers to weigh its labels by."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from meta_learning.acla.asking import Asking
from meta_learning.acla.calibration import leans
from meta_learning.acla.ensembles import voted_score
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.racing.race import Race
from meta_learning.acla.splits import Item
from meta_learning.errors import BudgetExhausted

HEADROOM_COUNT = 48
# Of the calls for searching, for thresholds: usually, and where the model leans to a label. So many items at first.
WEIGHING_SHARE, LEANING_SHARE = 0.25, 0.6
WEIGHING_COUNT_MAX, WEIGHING_FIRST_COUNT = 200, 100
# Between two looks at what tokens, money and time are left.
PIECE_COUNT = 16
MISSING_SHARE_MAX = 0.2


class TooManyMissing(Exception):
    """Raised when the model refuses so many items that nothing can be concluded."""


class InUse:
    """The prompt in use, or several that vote (``members``), on the items of ``race``.

    ``kept_for_weighing``: calls that are kept until the search is over, to weigh the labels on more items.
    """

    def __init__(self, race: Race, members: tuple[Candidate, ...], asking: Asking) -> None:
        self.members = members
        self.kept_for_weighing = 0
        self._race, self._matrix, self._items = race, race.matrix, race.items
        self._config, self._asking = race.config, asking

    async def measured(self, weighs_labels: bool = False) -> list[float]:
        """Its scores on the first items, or on all where little seems left to gain.

        ``weighs_labels``: thresholds will be fitted on these answers, so that there must be enough of them; so it is where what
        is in use has such weights, as they are fitted anew.

        Raises:
            TooManyMissing: the model refuses more than a fifth of them.
        """
        if any(one.calibrated for one in self.members):
            self._race.lengthen(HEADROOM_COUNT)
            weighs_labels = True
        last = self._race.ladder.rungs[-1]
        count = self._weighing_count(WEIGHING_SHARE) if weighs_labels else min(HEADROOM_COUNT, last)
        # In two steps where calls, and nothing else, are capped, and a decision is to come.
        in_steps = weighs_labels and self._race.kept_calls > 0
        in_steps &= self._asking.calls_left is not None and not self._config.caps_more_than_calls
        at_first = min(count, WEIGHING_FIRST_COUNT) if in_steps else count
        first = self._items[:at_first] if self._race.ladder.last else self._items
        if weighs_labels and self._config.caps_more_than_calls:
            scores = await self._ask_while_paid(self._items[:count])
        else:
            scores = await self._ask(first)
        self.check_missing(self.members[0], first)
        if not any(scores):
            scores = await self._ask(self._items[:HEADROOM_COUNT])
        if not self.has_headroom(scores):
            scores = await self._ask(self._items)
        elif in_steps and self._matrix.has_logprobs(self.members[0].prompt):
            scores = await self._weigh_on(count)
        return scores

    async def _weigh_on(self, count: int) -> list[float]:
        """Where the model leans to a label, thresholds are most of what can be gained: ask as many as they are worth, at once.

        Where it does not, what would be asked beyond the first is kept until the search is over: candidates need the calls more.
        Then also finalists are asked items that nobody was asked before, as far as it reaches.
        """
        asked = [item for item in self._items if self._matrix.score(self.members[0], item) is not None]
        if leans([(self._matrix.decision(self.members[0], item), item.expected) for item in asked]):
            return await self._ask(self._items[: self._weighing_count(LEANING_SHARE)])
        unasked = self._matrix.unasked(self.members[0].prompt, self._items[:count])
        self.kept_for_weighing = len(unasked) * len(self.members)
        self._race.kept_calls += self.kept_for_weighing
        return self.scores(self._items)

    def _weighing_count(self, share: float) -> int:
        """How many items thresholds are fitted on: as many as this share of the calls for searching reaches.

        Each call tells more than any other: thresholds rest on it, and it is a pair for their test. Where calls are not capped
        and something else is, nobody knows that share.
        """
        left = self._asking.calls_left
        if left is None:
            return HEADROOM_COUNT if self._config.caps_more_than_calls else WEIGHING_COUNT_MAX
        asked = len(self._matrix.answers.get(self.members[0].prompt.version, {}))
        within = int(share * (left + asked * len(self.members) - self._race.kept_calls)) // len(self.members)
        return max(HEADROOM_COUNT, min(WEIGHING_COUNT_MAX, within))

    async def _ask_while_paid(self, items: Sequence[Item]) -> list[float]:
        """The first items, then a few at a time as long as what is left of all caps is more than the gate's."""
        await self._ask(items[:HEADROOM_COUNT])
        with contextlib.suppress(BudgetExhausted):
            for count in range(HEADROOM_COUNT + PIECE_COUNT, len(items) + PIECE_COUNT, PIECE_COUNT):
                await self._ask(items[:count])
        return self.scores(items)

    async def _ask(self, items: Sequence[Item]) -> list[float]:
        for member in self.members:
            await self._race.ask(member, items)
        return self.scores(items)

    def scores(self, items: Sequence[Item]) -> list[float]:
        """The known scores of what is in use, by vote where several are."""
        known = (voted_score(self._matrix, self.members, item) for item in items)
        return [score for score in known if score is not None]

    def check_missing(self, candidate: Candidate, items: Sequence[Item]) -> None:
        """Raise `TooManyMissing` when more than a fifth of what was asked was refused, or nothing is left."""
        answers = self._matrix.answers.get(candidate.prompt.version, {})
        asked = [answers[item.id] for item in items if item.id in answers]
        reasons = [answer.missing for answer in asked if answer.missing]
        if reasons and len(reasons) > MISSING_SHARE_MAX * len(asked):
            raise TooManyMissing(f"{len(reasons)} of {len(asked)} items were refused: {min(reasons)}")
        if not asked:
            raise TooManyMissing("every item to measure the prompt on is one of its own examples")

    def has_headroom(self, scores: Sequence[float]) -> bool:
        """Whether a gain of ``improvement_threshold`` is possible at all."""
        return 1.0 - sum(scores) / len(scores) >= self._config.improvement_threshold
