"""One run from its first call to its outcome."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from meta_learning.acla.asking import Asking
from meta_learning.acla.calibration import UNCALIBRATED
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.ensembles import ITEMS_COUNT_MIN, chosen, gain_over, members_of
from meta_learning.acla.evaluating import FunctionEvaluator, ModelEvaluator
from meta_learning.acla.in_use import TooManyMissing
from meta_learning.acla.judging import Ending, judge
from meta_learning.acla.nominating import Nominee, Terms, nominated, with_votes
from meta_learning.acla.outcomes import Answer, Candidate
from meta_learning.acla.planning import FINALISTS_COUNT_MAX, GatePlan
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.search import Search
from meta_learning.acla.splits import Item, Splits, free_text_share, group_or_self
from meta_learning.acla.store import RunLog
from meta_learning.acla.wavering import Wavering, repeats_count, wavering
from meta_learning.errors import BudgetExhausted, Cancelled

FREE_TEXT_SHARE_MAX = 0.5
SHOWN_CHARS_MAX = 80
# Who may vote: each pair of them is looked at.
VOTERS_CONSIDERED_MAX = 8
OnProgress = Callable[[int, float, int, str], None]


class Run:
    """Headroom, search, gate. Decisions go to ``log`` as they are taken."""

    def __init__(
        self,
        config: CurriculumConfig,
        splits: Splits,
        search: Search,
        evaluator: ModelEvaluator | FunctionEvaluator,
        log: RunLog,
        on_progress: OnProgress,
    ) -> None:
        self.search = search
        self._config = config
        self._splits = splits
        self._evaluator = evaluator
        self._log = log
        self._on_progress = on_progress
        self._stopped_by = ""
        self.wavering: Wavering | None = None

    async def to_the_end(self, plan: GatePlan, asking: Asking) -> Ending:
        """Run; stopping early for a cap or on request is an outcome, not an error.

        Raises:
            LLMUnavailable: the model does not answer; the log has everything to go on from here.
        """
        self._asking = asking
        if unscorable := self._unscorable():
            return Ending("failed", unscorable)
        try:
            seed_score = await self._measure_seed()
            if seed_score == 0.0:
                return Ending("failed", self._nothing_right())
            if not self.search.in_use.has_headroom([seed_score]):
                return Ending("no_headroom", f"the prompt already scores {seed_score:.3f} on the search items")
            await self._ask_again(plan)
            await self._iterate()
            ending = await self._finish(plan)
            self._explain_calls_left(ending)
            return ending
        except TooManyMissing as error:
            return Ending("failed", str(error))
        except Cancelled as error:
            return Ending("cancelled", str(error))
        except BudgetExhausted as error:
            return Ending("stopped_by_budget", f"{error}, before there was a decision")

    def _unscorable(self) -> str:
        """Why no answer of a model could count as right, before anything is paid; empty where some could."""
        if not isinstance(self._evaluator, ModelEvaluator) or self._evaluator.scoring == "judge":
            return ""
        return unscorable(self._splits.search, self._evaluator.labels, self._config.dataset_name)

    def _nothing_right(self) -> str:
        search, item = self.search, self._splits.search[0]
        said = search.matrix.decision(search.seed, item)
        answered = "" if said is None else f", the model answered {_shown(said)}"
        return (
            f"the seed prompt scores 0 on all {len(search.matrix.scores(search.seed, self._splits.search))} search items "
            f"that it was asked, so nothing shows what to improve: of the first one {_shown(item.expected)} is "
            f"expected{answered}. Check the expected answers, or say in the prompt which answers there are"
        )

    async def _measure_seed(self) -> float:
        search = self.search
        if isinstance(self._evaluator, ModelEvaluator):
            await self._evaluator.probe(search.seed.prompt, self._splits.search[0])
        else:
            await search.race.ask(search.seed, self._splits.search[:8])
            if self._evaluator.gives_means:
                search.race.pair_nothing()
        score = await search.measure_seed(self._calibrates)
        self._progress(0, f"the seed prompt scores {score:.3f}")
        return score

    async def _ask_again(self, plan: GatePlan) -> None:
        """How much the model wavers, of some of the calls; what the gate sees of a gain depends on it."""
        search, config, evaluator = self.search, self._config, self._evaluator
        if not isinstance(evaluator, ModelEvaluator):
            return
        known = [item for item in self._splits.search if search.matrix.score(search.seed, item) is not None]
        items = known[: repeats_count(config.probe_items, len(known), config.calls_max, self._asking.calls_each)]
        if not items or not self._asking.affords(len(items), search.race.kept_calls):
            return
        if search.race.kept_calls and search.race.time_is_up():
            return  # what is left of the time is the decision's
        # Both by the same rule: weights that were fitted would make others of the same log-probabilities.
        answers = search.matrix.answers[search.seed.prompt.version]
        first = [_decided(answers[item.id]) for item in items]
        again = await evaluator.repeated(search.seed.prompt, items)
        pairs = [(one, _decided(answer)) for one, answer in zip(first, again, strict=True) if answer.missing is None]
        self.wavering = wavering([one for one, _ in pairs], [other for _, other in pairs])
        report = self.wavering.report(plan, config.alpha)
        self._log.decided("asked_again", **report)
        if self.wavering.flips_count:
            said = f"{report['flips']} of {report['items']} answers were others when asked again"
            why = f"so a true gain of 5 points is seen in {100 * report['power_for_5_points']:.0f} % of runs"
            search.tracker.explain(0, said, why, rate=report["rate"])

    async def _iterate(self) -> None:
        """Iterations until they are used up, the prompt is good enough and stays so, or the calls for searching are spent."""
        search, config = self.search, self._config
        try:
            if self._calibrates:
                search.calibrate()
            for iteration in range(1, config.max_iterations + 1):
                self._progress(iteration, await search.iterate(iteration))
                if await search.should_stop(iteration):
                    return
        except BudgetExhausted as error:
            self._stopped_by = str(error)
            search.note_best(len(search.tracker.history))

    @property
    def _gives_means(self) -> bool:
        return isinstance(self._evaluator, FunctionEvaluator) and self._evaluator.gives_means

    @property
    def _calibrates(self) -> bool:
        if not isinstance(self._evaluator, ModelEvaluator) or self.search.seed.calibrated:
            return False
        return self._config.calibrate and self._evaluator.scores_labels

    async def _finish(self, plan: GatePlan) -> Ending:
        search = self.search
        if self._gives_means:
            return self._search_only("evaluation_fn gives one mean a call, so nothing can be paired")
        if not plan.items_count:
            return self._search_only("there are no fresh items, or no calls, for a gate")
        terms = self._terms(plan)
        slate = self._slate(terms)
        if not slate:
            nobody = "no candidate had a chance to be better than the seed prompt after the search"
            if self._stopped_by:
                return Ending("stopped_by_budget", f"{nobody}, which was cut short: {self._stopped_by}{_kept(plan)}")
            return Ending("no_evidence", nobody)
        items = self._splits.gate[: terms.items_for(terms.prompts_count(slate))]
        finalists = list(dict.fromkeys(voter for one in slate for voter in members_of(one.candidate)))
        prompts_count = len(terms.in_use) + terms.prompts_count(slate)
        kept_calls = len(items) * prompts_count
        further = self._further(finalists, kept_calls)
        await self._fit_on_more(finalists, further, kept_calls + len(further) * prompts_count)
        return await judge(search, slate, [*items, *further], self._config, self._log, self._stopped_by)

    def _explain_calls_left(self, ending: Ending) -> None:
        """Why calls that were granted were not used."""
        left, tracker = self._asking.calls_left, self.search.tracker
        if not left:
            return
        if self._stopped_by:
            why = f"neither a step of the search nor an item more for all finalists fits into them: {self._stopped_by}"
        elif ending.gate is None:
            why = f"the search came to its end before them, and {ending.reason}"
        else:
            why = "the search came to its end before them, and the gate has no more items to ask"
        left *= self._asking.calls_each
        tracker.explain(len(tracker.history), f"{left} calls are left", why, calls_left=left)

    def _further(self, finalists: Sequence[Candidate], kept_calls: int) -> list[Item]:
        """Those items of the search, as far as calls are left, that none whom the gate compares was asked in it.

        Who was nominated, and with which examples, was settled without these items: they are as fresh as the gate's.
        """
        if not self._counts_calls_alone:
            return []
        prompts = {one.prompt.version: one.prompt for one in (*self.search.incumbent, *finalists)}
        spare = max(0, (self._asking.calls_left or 0) - kept_calls)
        return self._unseen(list(prompts.values()))[: spare // len(prompts)]

    def _unseen(self, prompts: Sequence[Prompt]) -> list[Item]:
        """Items of the search that none of ``prompts`` was asked, nor any other item of their groups."""
        items, matrix = self._splits.search, self.search.matrix
        unasked = ({item.id for item in matrix.unasked(prompt, items)} for prompt in prompts)
        unseen = set.intersection(*unasked)
        seen_groups = {group_or_self(item) for item in items if item.id not in unseen}
        return [item for item in items if group_or_self(item) not in seen_groups]

    @property
    def _counts_calls_alone(self) -> bool:
        """Whether calls, and nothing else, say how much can still be asked."""
        race = self.search.race
        return not (self._asking.calls_left is None or race.out_of_time or self._config.caps_more_than_calls)

    async def _fit_on_more(self, finalists: Sequence[Candidate], further: Sequence[Item], kept_calls: int) -> None:
        """Ask those with weights on their labels the search items that the gate leaves calls for: thresholds get better by them.

        Not those ``further`` ones that the gate asks.

        What is in use before all others: with thresholds fitted on less it would be beaten by the same prompt.
        """
        race = self.search.race
        others = [item for item in self._splits.search if item not in further]
        for candidate in (*self.search.incumbent, *finalists) if self._counts_calls_alone else ():
            if candidate.calibrated:
                unasked = race.matrix.unasked(candidate.prompt, others)
                spare = max(0, (self._asking.calls_left or 0) - kept_calls)
                with contextlib.suppress(BudgetExhausted):
                    await race.ask(candidate, unasked[:spare], kept_calls=kept_calls)

    def _terms(self, plan: GatePlan) -> Terms:
        """What the gate can be now: as planned, or more where the calls that are left are all that limits it."""
        search, config, left = self.search, self._config, self._asking.calls_left
        versions = frozenset(one.prompt.version for one in search.incumbent)
        if left is None or not self._counts_calls_alone:
            # Out of time there is time for one, as `time_is_up` planned.
            prompts_max = 1 if search.race.out_of_time else plan.finalists_count
            return Terms(lambda count: plan.items_count, versions, prompts_max, config.alpha, search.fixed_share)
        available, unseen = len(self._splits.gate), len(self._unseen([one.prompt for one in search.incumbent]))
        prompts_max = max(plan.finalists_count, FINALISTS_COUNT_MAX)

        def items_for(count: int) -> int:
            prompts_count = len(versions) + count
            kept = min(search.in_use.kept_for_weighing, unseen * prompts_count)
            return max(0, min(available, (left - kept) // prompts_count))

        def further_for(count: int) -> int:
            return min(unseen, left // (len(versions) + count) - items_for(count))

        return Terms(items_for, versions, prompts_max, config.alpha, search.fixed_share, further_for)

    def _slate(self, terms: Terms) -> list[Nominee]:
        """Who is asked the fresh items; several that vote where more is expected of them."""
        nominees = self.search.nominees()
        slate = nominated(nominees, terms)
        voting = self._voting(nominees) if self._config.ensemble_size > 1 else None
        if voting is not None:
            slate = with_votes(slate, *voting, terms)
        for one in slate:
            self.search.tracker.explain(
                len(self.search.tracker.history),
                f"{one.candidate.version} is asked the fresh items",
                "what the gate can be expected to let through is most with it",
                gain=one.gain.mean,
                chance=one.gain.chance_above(0.0),
            )
        return slate

    def _voting(self, nominees: Sequence[Nominee]) -> tuple[Nominee, Nominee] | None:
        """Those that help each other most on the search items, together, and the best of them alone; None where nobody does."""
        search, matrix, items = self.search, self.search.matrix, self._splits.search
        known = [one for one in nominees if len(matrix.scores(members_of(one.candidate)[0], items)) >= ITEMS_COUNT_MIN]
        ranked = sorted(known, key=lambda one: -one.gain.mean)[:VOTERS_CONSIDERED_MAX]
        if not ranked:
            return None
        first, *others = (members_of(one.candidate)[0] for one in ranked)
        together = chosen(
            matrix, first, [*others, *search.incumbent], items, self._config.ensemble_size, search.race.price
        )
        if together is None:
            return None
        further = sum(map(search.race.price, together.members[1:]))
        more, _ = gain_over(matrix, together.members, [first], items, further)
        _, discordant = gain_over(matrix, together.members, search.incumbent, items)
        gain = ranked[0].gain
        gain = replace(gain, mean=gain.mean + more.mean, raw=gain.raw + more.raw)
        return Nominee(together, gain, discordant), ranked[0]

    def _search_only(self, why: str) -> Ending:
        best = self.search.best
        return Ending("search_only", f"{why}: the best score is that of the search, which flatters", best)

    def _progress(self, iteration: int, message: str) -> None:
        point = self.search.tracker.history[-1]
        self._log.decided("iteration", iteration=iteration, point=point, message=message)
        self._on_progress(iteration, point["score"], self._asking.calls_count, message)


def unscorable(items: Sequence[Item], labels: Sequence[str], dataset_name: str) -> str:
    """Why no answer of a model to ``items`` could count as right, unless somebody else judges them; empty where some could."""
    if labels or free_text_share(items) <= FREE_TEXT_SHARE_MAX:
        return ""
    return (
        f"most expected answers of {dataset_name!r} are free text (for instance {_shown(items[0].expected)}), "
        "and an answer counts as right only if it is the expected one: no prompt could score. Evolve on a data set "
        "of labels or short answers, let the model judge the texts (`judge`, on the command line `--judge`), or call the "
        "library with an evaluation_fn"
    )


def _kept(plan: GatePlan) -> str:
    return f" ({plan.calls_count} were kept for the decision)" if plan.calls_count else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…")


def _decided(answer: Answer) -> str | None:
    """What a package without calibration makes of an answer; of one that was judged, the verdict."""
    if answer.score is not None:
        return str(answer.score >= 0.5)
    return answer.text if answer.label_logprobs is None else UNCALIBRATED.decision(answer.label_logprobs)
