"""The race: asks candidates along their courses, and knows who leads."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from meta_learning.acla.asking import Asking
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.evaluating import Evaluator
from meta_learning.acla.outcomes import Candidate, OutcomeMatrix
from meta_learning.acla.performance_tracker import Birth, PerformanceTracker
from meta_learning.acla.racing import leaning
from meta_learning.acla.racing.curriculum import Course, course, disagreement
from meta_learning.acla.racing.ladder import Ladder, Standing, rungs_up_to
from meta_learning.acla.racing.shrinkage import Gain
from meta_learning.acla.splits import Item
from meta_learning.errors import BudgetExhausted

# Before this many items nobody leads: a lead on fewer would be luck as often as not.
LEADING_COUNT = 48
PRIOR_SPREAD = 0.25
# Fewer prompts than this do not tell which items tell prompts apart.
COMPARED_COUNT_MIN = 4


@dataclass(frozen=True, slots=True)
class Entrant:
    """A candidate with the order in which it is asked, and when it came."""

    candidate: Candidate
    course: Course
    iteration: int


class Race:
    """One run's race over ``items``, which stand in the common random order. ``kept_calls`` are left untouched for the gate.

    ``seed`` is what must be beaten; ``best`` leads. ``labels``: the answers that there are, none where they are texts.
    """

    def __init__(
        self,
        config: CurriculumConfig,
        evaluator: Evaluator,
        asking: Asking,
        seed: Candidate,
        items: Sequence[Item],
        kept_calls: int = 0,
    ) -> None:
        self.config, self.seed, self.anchor, self.best = config, seed, seed, seed
        self.items = items
        self.matrix = OutcomeMatrix(items)
        self.tracker = PerformanceTracker()
        left = asking.calls_left
        self.ladder = Ladder(rungs_up_to(len(items), None if left is None else left - kept_calls))
        self.entrants: dict[str, Entrant] = {}
        self.kept_calls = kept_calls
        self.labels: tuple[str, ...] = ()
        self.time_is_up: Callable[[], bool] = lambda: False
        self.out_of_time = False
        self._asking = asking
        self._evaluator = evaluator

    async def ask(self, candidate: Candidate, items: Sequence[Item], kept_calls: int | None = None) -> None:
        """Make sure that ``candidate`` has an entry for every one of ``items``.

        Raises:
            BudgetExhausted: that would touch what is kept, or the time for searching is over.
        """
        unasked = self.matrix.unasked(candidate.prompt, items)
        if not unasked:
            return
        kept = self.kept_calls if kept_calls is None else kept_calls
        if not self._asking.affords(len(unasked), kept):
            calls = len(unasked) * self._asking.calls_each
            beside = f", beside the {kept * self._asking.calls_each} that are kept" if kept else ""
            raise BudgetExhausted(f"the next {calls} calls would exceed the cap of {self._asking.calls_max}{beside}")
        if kept and self.time_is_up():
            self.out_of_time = True
            raise BudgetExhausted("the time for searching is over")
        for item, answer in zip(unasked, await self._evaluator.answers(candidate.prompt, unasked), strict=True):
            self.matrix.record(candidate.prompt, item, answer)

    async def ask_what_fits(self, candidate: Candidate, items: Sequence[Item]) -> str:
        """As `ask` with nothing kept; where a cap comes first, all that it lets through. Why that are not all items, else nothing."""
        try:
            await self.ask(candidate, items, kept_calls=0)
        except BudgetExhausted as error:
            # Of a batch that was cut off the answers are paid for: asked again one by one they come from the log.
            for item in self.matrix.unasked(candidate.prompt, items):
                with contextlib.suppress(BudgetExhausted):
                    [answer] = await self._evaluator.answers(candidate.prompt, [item])
                    self.matrix.record(candidate.prompt, item, answer)
            return str(error) if self.matrix.unasked(candidate.prompt, items) else ""
        return ""

    def lengthen(self, count: int) -> None:
        """See to it that the last rung has at least ``count`` items, before anybody races."""
        if self.ladder.rungs[-1] < min(count, len(self.items)):
            self.ladder = Ladder(rungs_up_to(min(count, len(self.items))))

    def pair_nothing(self) -> None:
        """Measure on all items at once from now on: a mean hides its items."""
        self.ladder = Ladder([len(self.items)])
        self.matrix.answers.clear()

    def course(self, rng: random.Random) -> Course:
        """An order for newcomers: what both the seed and the best have answered comes first, and of that what tells most."""
        # Chances differ a little on every item: an order by disagreement cost 8 to 10 % where they are compared (benchmarks/LOG.md).
        if not self.config.adaptive_order or self.ladder.last == 0 or self.anchor.calibrated:
            return Course(tuple(self.items), {})
        seen = self.matrix.row(self.anchor).keys() & self.matrix.row(self.best).keys()
        known = [item for item in self.items if item.id in seen]
        rest = [item for item in self.items if item.id not in seen]
        rows = [self.matrix.row(entrant.candidate) for entrant in self.entrants.values()]
        rows.append(self.matrix.row(self.anchor))
        if len(rows) < COMPARED_COUNT_MIN:
            return Course((*known, *rest), {})

        def spread(item: Item) -> float:
            scores = [row[item.id] for row in rows if item.id in row]
            return disagreement(scores, PRIOR_SPREAD)

        return course(known, rest, spread, rng)

    async def enter(self, candidate: Candidate, along: Course, iteration: int) -> None:
        """Let a newcomer onto the first rung."""
        self.entrants[candidate.version] = Entrant(candidate, along, iteration)
        self.tracker.note_birth(
            Birth(iteration, candidate.version, candidate.parent, candidate.strategy, candidate.note)
        )
        await self._climb(candidate, 0)

    async def climb_on(self, iteration: int) -> bool:
        """Let whoever deserves it most climb one rung; return whether there was anybody."""
        standing = self.ladder.next_up(self._affords_climb)
        if standing is None:
            return False
        before = self.best
        await self._climb(standing.candidate, standing.rung + 1)
        if self.best is not before and standing.candidate is before:
            now = self.ladder.standings[before.version]
            self.tracker.explain(
                iteration,
                f"{self.best.version} leads again",
                f"{before.version} is behind the seed prompt on {now.over_seed.count} items{_by_leaning(now.over_seed)}",
                over_seed=now.over_seed.raw,
            )
        elif self.best is not before:
            now = self.ladder.standings[self.best.version]
            self.tracker.explain(
                iteration,
                f"{self.best.version} leads",
                f"it is ahead of {before.version} on {now.over_best.count} items{_by_leaning(now.over_best)}",
                gain=now.over_best.raw,
                shrunken=now.over_best.mean,
                over_seed=now.over_seed.mean,
            )
        return True

    def gain(self, candidate: Candidate, other: Candidate, rung: int | None = None) -> Gain:
        """The shrunken gain of one over the other, in what a user pays for; along the first one's course up to ``rung`` items.

        Shrunken towards what their leanings make expect.
        """
        entrant = self.entrants.get(candidate.version)
        along = entrant.course if entrant else Course(tuple(self.items), {})
        if rung is None:
            standing = self.ladder.standings.get(candidate.version)
            rung = self.ladder.rungs[standing.rung] if standing else len(self.items)
        asked = along.items[:rung]
        differences = self._differences(candidate, other, asked)
        price = self.price(candidate) - self.price(other)
        if price:
            differences = {name: one - price for name, one in differences.items()}
        both = [item for item in asked if item.id in differences]
        # Both on the same items: of fewer answers less of a leaning is believed.
        return along.gain(differences, rung).around(
            self._cost_of_leaning(other, both) - self._cost_of_leaning(candidate, both)
        )

    def _cost_of_leaning(self, candidate: Candidate, items: Sequence[Item]) -> float:
        """What a candidate loses by its leaning; nothing where thresholds take that away, or answers are no labels."""
        if not self.labels or candidate.calibrated or self.anchor.calibrated:
            return 0.0
        matrix, row = self.matrix, self.matrix.row(candidate)
        answers = matrix.answers.get(candidate.prompt.version, {})
        judged = [item for item in items if answers[item.id].score is None]
        # A right answer names its label, however it is written.
        said = (item.expected if row[item.id] else matrix.decision(candidate, item) for item in judged)
        found = leaning.leaning([(one, item.expected) for one, item in zip(said, judged, strict=True)])
        if not found:
            return 0.0
        scores = matrix.row(self.best).values()
        [(_, commonest)] = Counter(item.expected for item in self.items).most_common(1)
        return leaning.cost_of(found, commonest / len(self.items), sum(scores) / max(1, len(scores)))

    def _differences(self, candidate: Candidate, other: Candidate, items: Sequence[Item]) -> Mapping[str, float]:
        """By item: of chances where both have them, else of answers, since a chance of .8 is no worse than a right answer."""
        if candidate.calibrated and other.calibrated:
            return self.matrix.levelled_differences(candidate, other)
        pairs = ((item.id, self.matrix.differences(candidate, other, [item])) for item in items)
        return {name: one[0] for name, one in pairs if one}

    def price(self, candidate: Candidate) -> float:
        """What the tokens of a call are worth, in score: 0 unless ``config.tokens_price`` says otherwise."""
        if not self.config.tokens_price:
            return 0.0
        answers = self.matrix.answers.get(candidate.prompt.version, {})
        tokens = [answer.tokens for answer in answers.values() if answer.missing is None]
        return self.config.tokens_price * sum(tokens) / max(1, len(tokens)) / 1000.0

    def _affords_climb(self, standing: Standing) -> bool:
        """Whether the next rung fits into what is left: if not, the rest is better spent on newcomers than not at all."""
        candidate = standing.candidate
        asked = self.entrants[candidate.version].course.items[: self.ladder.rungs[standing.rung + 1]]
        prompts = {one.prompt.version: one.prompt for one in (candidate, self.anchor, self.best)}
        unasked = sum(len(self.matrix.unasked(prompt, asked)) for prompt in prompts.values())
        return self._asking.affords(unasked, self.kept_calls)

    async def _climb(self, candidate: Candidate, number: int) -> None:
        rung = self.ladder.rungs[number]
        asked = self.entrants[candidate.version].course.items[:rung]
        for runner in (candidate, self.anchor, self.best):
            await self.ask(runner, asked)
        over_seed, over_best = self.gain(candidate, self.anchor, rung), self.gain(candidate, self.best, rung)
        self.ladder.stand(Standing(candidate, number, over_seed, over_best))
        leads = rung >= min(LEADING_COUNT, self.ladder.rungs[-1]) and self._leads(candidate, over_best)
        birth = self.tracker.birth(candidate.version)
        birth.items_count, birth.gain, birth.chance = rung, over_seed.raw, over_seed.chance_above(0.0)
        birth.kept |= leads
        if leads:
            self._lead(candidate)
        elif candidate is self.best and over_seed.mean < 0.0:
            self._lead(self._next_leader())

    def _lead(self, candidate: Candidate) -> None:
        """Make it the leader: whoever waits must be ahead of it now."""
        self.best = candidate
        self.ladder.renew(candidate, lambda one: self.gain(one.candidate, candidate, self.ladder.rungs[one.rung]))

    def _next_leader(self) -> Candidate:
        """Who leads after the best has fallen behind on more items: whoever else is ahead on enough of them, or nobody."""
        enough = min(LEADING_COUNT, self.ladder.rungs[-1])
        ahead = [
            one
            for one in self.ladder.standings.values()
            if one.over_seed.mean > 0.0 and self.ladder.rungs[one.rung] >= enough
        ]
        return max(ahead, key=lambda one: one.over_seed.mean).candidate if ahead else self.anchor

    def _leads(self, candidate: Candidate, gain: Gain) -> bool:
        # At equal scores the shorter prompt leads: prompts that only ever grow cost money with every later call.
        shorter = len(candidate.prompt.render()) < len(self.best.prompt.render())
        return gain.mean > 0.0 or (gain.mean == 0.0 and shorter and self.best is not self.anchor)


def _by_leaning(gain: Gain) -> str:
    """What to add where right answers alone do not say so."""
    return ", in view of how far both lean to a label" if gain.mean and gain.mean * gain.raw <= 0.0 else ""
