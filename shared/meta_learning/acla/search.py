"""The search: strategies propose, children race, and whoever leads is the parent of the next. No decision is final here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from meta_learning.acla.asking import Asking, stream
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.ensembles import gain_over
from meta_learning.acla.evaluating import Evaluator
from meta_learning.acla.front import Offer
from meta_learning.acla.in_use import HEADROOM_COUNT, InUse
from meta_learning.acla.nominating import Nominee, fixed_share_of
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.performance_tracker import Birth
from meta_learning.acla.prompt_evolver import PromptEvolver
from meta_learning.acla.racing.convergence import (
    CHANCE_MIN,
    CHANCE_OF_BETTER_MIN,
    chance_of_newcomers,
    chance_that_any_beats,
)
from meta_learning.acla.racing.curriculum import Course
from meta_learning.acla.racing.race import Race
from meta_learning.acla.racing.shrinkage import Gain, shrunken_gain
from meta_learning.acla.splits import Item
from meta_learning.acla.strategies import Answered, Situation, by_name
from meta_learning.acla.strategies.bandit import StrategyBandit, Tried

OTHER_PARENT_CHANCE = 0.3
# So many turns without a lead belong to the start that was made again.
RESTART_TURNS = 2
# Thresholds that are fitted with care seldom harm: before any evidence they are believed to bring so much.
THRESHOLDS_USUAL = 0.02
FIRST, MERGE = "few_shot_optimization", "merge"
# Sets of examples lie further apart than other changes: more of them at first, and more is hoped of the next one.
FIRST_FACTOR, FIRST_SPREAD = 2, 0.06


@dataclass(frozen=True, slots=True)
class Tools:
    """What a search works with."""

    config: CurriculumConfig
    evaluator: Evaluator
    asking: Asking
    evolver: PromptEvolver
    time_is_up: Callable[[], bool]


class Search:
    """One run's search over ``items``. ``kept_calls`` are left untouched for the gate.

    ``incumbent``: what is in use and must be beaten, several where they vote; candidates race against the first, the ``seed``.
    """

    def __init__(
        self,
        tools: Tools,
        incumbent: tuple[Candidate, ...],
        items: Sequence[Item],
        labels: tuple[str, ...],
        kept_calls: int,
    ) -> None:
        self.incumbent, self.seed = incumbent, incumbent[0]
        self.race = Race(tools.config, tools.evaluator, tools.asking, self.seed, items, kept_calls)
        self.race.time_is_up, self.race.labels = tools.time_is_up, labels
        self.matrix, self.tracker = self.race.matrix, self.race.tracker
        self.in_use = InUse(self.race, incumbent, tools.asking)
        self._tools = tools
        self._items = items
        self._labels = labels
        # Sets of examples first: they help small models most, and ask no author (Wan et al., 2024).
        chosen = tools.config.evolution_strategies
        # Who asks for one strategy alone gets it alone.
        names = sorted([*chosen, *([MERGE] if len(chosen) > 1 else [])], key=lambda name: name != FIRST)
        self._strategies = {strategy.name: strategy for strategy in by_name(names)}
        self.bandit = StrategyBandit(names, {FIRST: FIRST_SPREAD})
        self._weighs_items = self._has_restarted = False
        # The parent of the next turns, until one of them leads.
        self._restarted_from: Candidate | None = None
        self._since_lead = 0
        # Who found nothing new for whom.
        self._exhausted: set[tuple[str, ...]] = set()

    @property
    def best(self) -> Candidate:
        """Who leads."""
        return self.race.best

    @property
    def held(self) -> Candidate:
        """Who would be taken now, were no decision on fresh items to come: the leader, unless it is more likely luck.

        The luckiest of many that are worse on average is seldom better: how the others did counts against it.
        """
        race = self.race
        if self.best is race.anchor:
            return race.anchor
        return self.best if self._over(race.anchor, self.best).mean > 0.0 else race.anchor

    async def measure_seed(self, weighs_labels: bool = False) -> float:
        """The score of what is in use on the first items; ``weighs_labels``: thresholds will be fitted on these answers.

        Raises:
            TooManyMissing: the model refuses more than a fifth of them.
        """
        scores = await self.in_use.measured(weighs_labels)
        self.note_best(0)
        return sum(scores) / len(scores)

    def calibrate(self) -> None:
        """From now on race packages with fitted thresholds: that costs no call, and the plain seed stays what must be beaten."""
        race = self.race
        race.lengthen(HEADROOM_COUNT)
        race.anchor = race.best = replace(self.seed, calibrated=True, strategy="calibration", parent=self.seed.version)
        self.tracker.note_birth(Birth(0, race.anchor.version, self.seed.version, "calibration", "labels weighed"))
        asked, kept = len(self.matrix.row(self.seed)), self.in_use.kept_for_weighing
        why = "the model gives the log-probability of each label"
        self.tracker.explain(0, "labels are weighed", why, items=asked, calls_kept_for_more=kept)

    async def iterate(self, iteration: int) -> str:
        """One strategy, its children, their races; return a sentence about it."""
        race, config = self.race, self._tools.config
        situation = self._situation(self._parent(iteration), iteration)
        name = self._choose(iteration, situation)
        if name == FIRST and FIRST not in self.bandit.had_turn and race.ladder.last > 0:
            situation = replace(situation, children_count=FIRST_FACTOR * situation.children_count)
        calls_before, best_before = self._tools.asking.calls_count, self.best
        rng = stream(config.seed, iteration, name)
        children = await self._tools.evolver.children(self._strategies[name], situation, rng)
        if not children:
            self._exhausted.add(_turn(name, situation))
        along = self._course(iteration)
        for child in children:
            await race.enter(child, along, iteration)
        self.bandit.paid(name, len(children), self._cost(children, self._tools.asking.calls_count - calls_before))
        while await race.climb_on(iteration):
            pass
        led = self.best is not best_before
        # Who finds nothing new has tried in vain as much as who finds nothing better.
        self._since_lead = 0 if led else self._since_lead + (len(children) or self._tools.config.children_count)
        if led or self._since_lead >= RESTART_TURNS * self._tools.config.children_count:
            self._restarted_from = None
        self.note_best(iteration)
        than = " than the first prompt with thresholds" if self.best is race.anchor and race.anchor.calibrated else ""
        return f"{name}: {len(children)} tried, " + ("a new best" if led else f"none better{than}")

    async def should_stop(self, iteration: int) -> bool:
        """Whether nothing better is to be expected; the first time that is so below the wanted score, start again elsewhere."""
        config, tracker = self._tools.config, self.tracker
        if not self.bandit.had_turn >= set(config.evolution_strategies):
            return False
        live = chance_that_any_beats(self._live(), config.improvement_threshold)
        new = chance_of_newcomers(self._since_lead, 0)
        chances = {"chance_of_live": live, "chance_of_newcomer": new}
        is_good = tracker.is_good_and_still(config.min_performance_threshold, config.improvement_threshold)
        if is_good and max(live, new) <= CHANCE_OF_BETTER_MIN:
            tracker.explain(iteration, "the search ends", "the best is surely good enough and still", **chances)
            return True
        if max(live, new) > CHANCE_MIN:
            return False
        if not self._has_restarted:
            self._has_restarted = True
            await self._restart(iteration)
            tracker.explain(
                iteration, "the search starts again", "nothing better is to be expected from here", **chances
            )
            return False
        tracker.explain(iteration, "the search ends", "nothing better is to be expected after a restart", **chances)
        return True

    def nominees(self) -> list[Nominee]:
        """Whoever was asked enough to say anything, and the other package of the same answers, which costs nothing more."""
        race = self.race
        enough = min(1, race.ladder.last)
        known = [race.anchor, *(one.candidate for one in race.ladder.standings.values() if one.rung >= enough)]
        if race.anchor.calibrated:
            weighed = [one for one in known if self.matrix.has_logprobs(one.prompt)]
            known += [replace(one, calibrated=not one.calibrated) for one in weighed]
        others = {one.version: one for one in known if one.version != self.seed.version}
        return [self._nominee(one) for one in others.values()]

    def _nominee(self, candidate: Candidate) -> Nominee:
        differences = self.matrix.differences(candidate, self.seed, self._items)
        discordant = sum(map(abs, differences)) / max(1, len(differences))
        believed = self._believed(candidate)
        if len(self.incumbent) > 1:
            # Several are in use and vote: their vote is what must be beaten, not the first of them.
            further = sum(map(self.race.price, self.incumbent[1:]))
            voting, _ = gain_over(self.matrix, self.incumbent, [self.seed], self._items, further)
            believed = replace(believed, mean=believed.mean - voting.mean, raw=believed.raw - voting.raw)
            _, discordant = gain_over(self.matrix, [candidate], self.incumbent, self._items)
        return Nominee(candidate, believed, discordant, self.is_fixed(candidate))

    def _believed(self, candidate: Candidate) -> Gain:
        """The gain over what is in use, in view of others of its kind: the luckiest of many that are worse is seldom better.

        Of a package with thresholds by way of the first such package: what thresholds bring is known of all the items that the
        seed was asked, what a prompt changes of a few.
        """
        race = self.race
        if candidate is race.anchor:
            return race.gain(candidate, self.seed).around(THRESHOLDS_USUAL)
        if not (candidate.calibrated and race.anchor.calibrated) or self.seed.calibrated:
            return self._over(self.seed, candidate)
        return self._over(race.anchor, candidate).plus(self._believed(race.anchor))

    def _over(self, other: Candidate, candidate: Candidate) -> Gain:
        return self.race.gain(candidate, other).around(self.race.ladder.usual_gain(candidate))

    def is_fixed(self, candidate: Candidate) -> bool:
        """Whether it was settled before the search what this is: the seed prompt with thresholds, which are fitted out of sight."""
        return candidate is self.race.anchor and candidate is not self.seed and len(self.incumbent) == 1

    @property
    def fixed_share(self) -> float:
        """The part of the gate's level that is kept for such a candidate; 0 where there is none."""
        anchor = self.race.anchor
        return fixed_share_of(self._nominee(anchor).discordant) if self.is_fixed(anchor) else 0.0

    def offers(self) -> list[Offer]:
        """The seed and everybody past the second rung, with what a call of each takes."""
        raced = [
            one.candidate for one in self.race.ladder.standings.values() if one.rung >= min(1, self.race.ladder.last)
        ]
        return [self.offer(one) for one in dict.fromkeys([self.seed, self.race.anchor, *raced])]

    def offer(self, candidate: Candidate) -> Offer:
        """What a call of ``candidate`` takes and is expected to bring."""
        scores = self.matrix.scores(self.seed, self._items)
        base = sum(scores) / max(1, len(scores))
        answers = self.matrix.answers.get(candidate.prompt.version, {}).values()
        known = [answer for answer in answers if answer.missing is None]
        prices = [answer.price_usd for answer in known if answer.price_usd is not None]
        count = max(1, len(known))
        gain = shrunken_gain(self.matrix.differences(candidate, self.seed, self._items))
        return Offer(
            version=candidate.version,
            score=base + (gain.mean if candidate is not self.seed else 0.0),
            score_sd=gain.sd if candidate is not self.seed else 0.0,
            tokens=sum(answer.tokens for answer in known) / count,
            latency_s=sum(answer.latency_s for answer in known) / count,
            price_usd=sum(prices) / count if prices else None,
        )

    def note_best(self, iteration: int) -> None:
        """Enter the best prompt into the history."""
        scores = self.matrix.scores(self.best, self._items)
        self.tracker.note_best(iteration, scores, self._tools.asking.calls_count, self.best.version)

    def _choose(self, iteration: int, situation: Situation) -> str:
        ready = [name for name in self._strategies if name != MERGE or situation.partner is not None]
        ready = [name for name in ready if _turn(name, situation) not in self._exhausted] or ready
        tried = self._tried(iteration)
        name = self.bandit.choose(ready, tried, stream(self._tools.config.seed, iteration, "strategy"))
        why = "drawn by what it promises for a call" if name in self.bandit.had_turn else "it had no turn yet"
        self.tracker.explain(iteration, f"{name} on {situation.parent.version}", why, **self.bandit.promises(tried))
        return name

    def _course(self, iteration: int) -> Course:
        """In which order this turn's children are asked; when items are weighed for the first time, that is said."""
        along = self.race.course(stream(self._tools.config.seed, iteration, "course"))
        if along.stratum_of and not self._weighs_items:
            self._weighs_items = True
            why = "what tells prompts apart is known of them; each answer counts for the items that it stands for"
            self.tracker.explain(
                iteration, "items that tell prompts apart come first", why, items=len(along.stratum_of)
            )
        return along

    def _cost(self, children: Sequence[Candidate], calls: int) -> float:
        """What a turn of so many calls took, in calls of the seed prompt: where tokens or money are capped, long prompts and long
        answers take more of what is short.
        """
        config = self._tools.config
        if not children or (config.tokens_max is None and config.money_usd_max is None):
            return calls
        seed, offers = self.offer(self.seed), [self.offer(child) for child in children]
        if config.money_usd_max is not None and seed.price_usd:
            each = [offer.price_usd / seed.price_usd for offer in offers if offer.price_usd is not None]
        else:
            each = [offer.tokens / seed.tokens for offer in offers if seed.tokens]
        return calls * sum(each) / len(each) if each else calls

    def _tried(self, iteration: int) -> dict[str, list[Tried]]:
        """The children of each strategy, as they stand to who leads now."""
        found: dict[str, list[Tried]] = {}
        for version in self.race.ladder.standings:
            one = self.race.entrants[version]
            gain = self.race.gain(one.candidate, self.best)
            found.setdefault(one.candidate.strategy, []).append(Tried(gain, iteration - one.iteration))
        return found

    def _parent(self, iteration: int) -> Candidate:
        rng = stream(self._tools.config.seed, iteration, "parent")
        if self._restarted_from is not None:
            return self._restarted_from
        others = [one for one in self.race.ladder.finished() if one is not self.best]
        return rng.choice(others) if others and rng.random() < OTHER_PARENT_CHANCE else self.best

    async def _restart(self, iteration: int) -> None:
        """Another start: the bare task, or the entrant that shares least with the best."""
        best = self.best.prompt
        bare = replace(
            self.best,
            prompt=best.edit(role="", rules=(), reasoning="", exemplars=()),
            strategy="restart",
            note="the bare task",
            parent=self.best.version,
        )
        self._since_lead = 0
        if best.task and bare.version not in self.race.entrants and bare.prompt.version != self.seed.prompt.version:
            self._tools.evolver.known.add(bare.prompt.version)
            await self.race.enter(
                bare, self.race.course(stream(self._tools.config.seed, iteration, "restart")), iteration
            )
            self._restarted_from = bare
            return
        raced = [one.candidate for one in self.race.ladder.standings.values()]
        self._restarted_from = max(raced, key=lambda one: _blocks_apart(one, self.best), default=self.seed)

    def _live(self) -> list[Gain]:
        return [
            one.over_best
            for one in self.race.ladder.standings.values()
            if one.rung < self.race.ladder.last and one.rung > 0 and one.over_best.mean > 0.0
        ]

    def _situation(self, parent: Candidate, iteration: int) -> Situation:
        matrix = self.matrix
        known = [(item, matrix.score(parent, item)) for item in self._items]
        answered = [
            (Answered(item, matrix.decision(parent, item)), score) for item, score in known if score is not None
        ]
        failures = [one for one, score in answered if score < 0.5]
        partner = self._partner(parent, failures)
        solved = [one for one in failures if partner and (matrix.score(partner, one.item) or 0.0) >= 0.5]
        history = []
        for one in [self.seed, *self.race.ladder.finished()]:
            scores = matrix.scores(one, self._items)
            history.append((one.prompt.render(), sum(scores) / max(1, len(scores))))
        return Situation(
            parent=parent,
            labels=self._labels,
            failures=failures,
            successes=[one for one, score in answered if score >= 0.5],
            history=history,
            children_count=self._tools.config.children_count,
            solved=solved,
            tried=self._tools.evolver.known,
            by_label=self.race.anchor.calibrated,
            partner=partner,
        )

    def _partner(self, parent: Candidate, failures: Sequence[Answered]) -> Candidate | None:
        """Who is right most often where ``parent`` is wrong, of those that came past the second rung."""
        raced = [
            one.candidate for one in self.race.ladder.standings.values() if one.rung >= min(1, self.race.ladder.last)
        ]
        others = [one for one in raced if one.version != parent.version]

        def wins(other: Candidate) -> float:
            return sum(self.matrix.score(other, one.item) or 0.0 for one in failures)

        return max(others, key=wins, default=None)


def _turn(name: str, situation: Situation) -> tuple[str, ...]:
    """What a strategy is given to work with."""
    partner = situation.partner.version if situation.partner else ""
    return (name, situation.parent.version, partner if name == MERGE else "")


def _blocks_apart(one: Candidate, other: Candidate) -> int:
    mine, others = one.prompt.as_blocks(), other.prompt.as_blocks()
    return sum(mine.get(name) != others.get(name) for name in mine.keys() | others.keys())
