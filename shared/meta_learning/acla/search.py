"""The search: strategies propose, children race on shared items, and the best shrunken gain leads. No decision is final here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meta_learning.acla.asking import Asking, stream
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.evaluating import Evaluator
from meta_learning.acla.outcomes import Candidate, OutcomeMatrix
from meta_learning.acla.performance_tracker import Birth, PerformanceTracker
from meta_learning.acla.prompt_evolver import PromptEvolver
from meta_learning.acla.racing import RUNGS, Gain, goes_on, rungs_up_to, shrunken_gain
from meta_learning.acla.splits import Item
from meta_learning.acla.strategies import Answered, Situation, by_name
from meta_learning.errors import BudgetExhausted

HEADROOM_COUNT = 48
OTHER_PARENT_CHANCE = 0.3
MISSING_SHARE_MAX = 0.2


class TooManyMissing(Exception):
    """Raised when the model refuses so many items that nothing can be concluded."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a search works with."""

    config: CurriculumConfig
    evaluator: Evaluator
    asking: Asking
    evolver: PromptEvolver
    time_is_up: Callable[[], bool]


class Search:
    """One run's search over ``items``, which stand in the common random order.

    ``kept_calls`` are left untouched for the gate. ``in_rungs`` is switched off when scores are means that cannot be paired.
    """

    def __init__(
        self, tools: Tools, seed: Candidate, items: Sequence[Item], labels: tuple[str, ...], kept_calls: int
    ) -> None:
        self.seed = seed
        self.best = seed
        self.matrix = OutcomeMatrix(frozenset(item.id for item in items))
        self.tracker = PerformanceTracker(tools.config.evolution_strategies)
        self.raced: list[Candidate] = []
        self.in_rungs = True
        self.out_of_time = False
        self._tools = tools
        self._items = items
        self._labels = labels
        self._kept_calls = kept_calls
        self._finished: list[Candidate] = []
        self._strategies = {strategy.name: strategy for strategy in by_name(tools.config.evolution_strategies)}

    async def ask(self, candidate: Candidate, items: Sequence[Item], kept_calls: int | None = None) -> None:
        """Make sure that ``candidate`` has an entry for every one of ``items``.

        Raises:
            BudgetExhausted: that would touch what is kept, or the time for searching is over.
        """
        unasked = self.matrix.unasked(candidate.prompt, items)
        if not unasked:
            return
        kept = self._kept_calls if kept_calls is None else kept_calls
        if not self._tools.asking.affords(len(unasked), kept):
            raise BudgetExhausted(
                f"the next {len(unasked)} calls would exceed the cap of {self._tools.asking.calls_max}"
            )
        if kept and self._tools.time_is_up():
            self.out_of_time = True
            raise BudgetExhausted("the time for searching is over")
        for item, answer in zip(unasked, await self._tools.evaluator.answers(candidate.prompt, unasked), strict=True):
            self.matrix.record(candidate.prompt, item, answer)

    async def measure_seed(self) -> float:
        """The seed's score on the first items, or on all where little seems left to gain.

        Raises:
            TooManyMissing: the model refuses more than a fifth of them.
        """
        first = self._items[:HEADROOM_COUNT] if self.in_rungs else self._items
        await self.ask(self.seed, first)
        scores = self.matrix.scores(self.seed, first)
        self.check_missing(self.seed, first)
        if not self.has_headroom(scores):
            await self.ask(self.seed, self._items)
            scores = self.matrix.scores(self.seed, self._items)
        self.note_best(0)
        return sum(scores) / len(scores)

    def check_missing(self, candidate: Candidate, items: Sequence[Item]) -> None:
        """Raise `TooManyMissing` when more than a fifth of what was asked was refused, or nothing is left."""
        answers = self.matrix.answers.get(candidate.prompt.version, {})
        asked = [answers[item.id] for item in items if item.id in answers]
        reasons = [answer.missing for answer in asked if answer.missing]
        if reasons and len(reasons) > MISSING_SHARE_MAX * len(asked):
            raise TooManyMissing(f"{len(reasons)} of {len(asked)} items were refused: {min(reasons)}")
        if not asked:
            raise TooManyMissing("every item to measure the prompt on is one of its own examples")

    def has_headroom(self, scores: Sequence[float]) -> bool:
        """Whether a gain of ``improvement_threshold`` is possible at all."""
        return 1.0 - sum(scores) / len(scores) >= self._tools.config.improvement_threshold

    async def iterate(self, iteration: int) -> str:
        """One strategy, its children, their races; return a sentence about it."""
        rng = stream(self._tools.config.seed, iteration, "iteration")
        name = self.tracker.choose(iteration, rng)
        before, best_before = self._tools.asking.calls_count, self.best
        situation = self._situation(self._parent(iteration))
        children = await self._tools.evolver.children(
            self._strategies[name], situation, stream(self._tools.config.seed, iteration, name)
        )
        deepest = 0
        for child in children:
            deepest = max(deepest, await self.race(child, iteration))
        calls = self._tools.asking.calls_count - before
        success = float(deepest > RUNGS[1] or self.best is not best_before)
        self.tracker.reward(name, success, calls, self._tools.config.children_count * RUNGS[1])
        self.note_best(iteration)
        return f"{name}: {len(children)} tried, " + ("a new best" if self.best is not best_before else "none better")

    async def race(self, candidate: Candidate, iteration: int) -> int:
        """Ask ``candidate`` rung after rung while it keeps up; return how many items it got to."""
        self.raced.append(candidate)
        reached, gain, goes = 0, shrunken_gain([]), True
        try:
            for rung in rungs_up_to(len(self._items)) if self.in_rungs else [len(self._items)]:
                for runner in (candidate, self.seed, self.best):
                    await self.ask(runner, self._items[:rung])
                reached = rung
                gain = self._gain(candidate, self.best, rung)
                goes = goes_on(self._gain(candidate, self.seed, rung), gain, rung)
                if not goes:
                    break
        finally:
            kept = goes and reached == len(self._items) and self._leads(candidate, gain)
            self._note_birth(candidate, iteration, reached, kept)
        if goes:
            self._finished.append(candidate)
        if kept:
            self.best = candidate
        return reached

    def finalists(self, count: int) -> list[Candidate]:
        """Those with the largest shrunken gain over the seed, if it is one."""
        gains = [
            (self._gain(candidate, self.seed, len(self._items)).mean, -index)
            for index, candidate in enumerate(self.raced)
        ]
        best_first = sorted((gain for gain in gains if gain[0] > 0.0), reverse=True)
        return [self.raced[-index] for _, index in best_first[:count]]

    def note_best(self, iteration: int) -> None:
        """Enter the best prompt into the history."""
        scores = self.matrix.scores(self.best, self._items)
        self.tracker.note_best(iteration, scores, self._tools.asking.calls_count, self.best.version)

    def _leads(self, candidate: Candidate, gain: Gain) -> bool:
        # At equal scores the shorter prompt leads: prompts that only ever grow cost money with every later call.
        shorter = len(candidate.prompt.render()) < len(self.best.prompt.render())
        return gain.raw > 0.0 or (gain.raw == 0.0 and shorter and self.best is not self.seed)

    def _gain(self, candidate: Candidate, other: Candidate, rung: int) -> Gain:
        return shrunken_gain(self.matrix.differences(candidate, other, self._items[:rung]))

    def _parent(self, iteration: int) -> Candidate:
        rng = stream(self._tools.config.seed, iteration, "parent")
        others = [one for one in self._finished if one is not self.best]
        return rng.choice(others) if others and rng.random() < OTHER_PARENT_CHANCE else self.best

    def _situation(self, parent: Candidate) -> Situation:
        known = [(item, self.matrix.score(parent, item)) for item in self._items]
        answered = [
            (Answered(item, self.matrix.decision(parent, item)), score) for item, score in known if score is not None
        ]
        history = []
        for one in [self.seed, *self._finished]:
            scores = self.matrix.scores(one, self._items)
            history.append((one.prompt.render(), sum(scores) / max(1, len(scores))))
        return Situation(
            parent=parent,
            labels=self._labels,
            failures=[one for one, score in answered if score < 0.5],
            successes=[one for one, score in answered if score >= 0.5],
            history=history,
            children_count=self._tools.config.children_count,
        )

    def _note_birth(self, candidate: Candidate, iteration: int, reached: int, kept: bool) -> None:
        gain = self._gain(candidate, self.seed, reached).raw if reached else 0.0
        self.tracker.note_birth(
            Birth(
                iteration, candidate.version, candidate.parent, candidate.strategy, candidate.note, reached, gain, kept
            )
        )
