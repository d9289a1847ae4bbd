"""One run from its first call to its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from meta_learning.acla.asking import stream
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.evaluating import FunctionEvaluator, ModelEvaluator
from meta_learning.acla.gate import Finalist, GateReport, PairedScores, decide
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.planning import GatePlan
from meta_learning.acla.search import Search, TooManyMissing
from meta_learning.acla.splits import Item, Splits, free_text_share
from meta_learning.acla.store import RunLog
from meta_learning.errors import BudgetExhausted, Cancelled

FREE_TEXT_SHARE_MAX = 0.5
SHOWN_CHARS_MAX = 80
OnProgress = Callable[[int, float, int, str], None]


@dataclass
class Ending:
    """How a run ended."""

    outcome: str
    reason: str
    winner: Candidate | None = None
    gate: GateReport | None = None


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

    async def to_the_end(self, plan: GatePlan, calls_count: Callable[[], int]) -> Ending:
        """Run; stopping early for a cap or on request is an outcome, not an error.

        Raises:
            LLMUnavailable: the model does not answer; the log has everything to go on from here.
        """
        self._calls_count = calls_count
        if unscorable := self._unscorable():
            return Ending("failed", unscorable)
        try:
            seed_score = await self._measure_seed()
            if seed_score == 0.0:
                return Ending("failed", self._nothing_right())
            if not self.search.has_headroom([seed_score]):
                return Ending("no_headroom", f"the prompt already scores {seed_score:.3f} on the search items")
            await self._iterate()
            return await self._finish(plan)
        except TooManyMissing as error:
            return Ending("failed", str(error))
        except Cancelled as error:
            return Ending("cancelled", str(error))
        except BudgetExhausted as error:
            return Ending("stopped_by_budget", f"{error}, before there was a decision")

    def _unscorable(self) -> str:
        """Why no answer of a model could count as right, before anything is paid; empty where some could."""
        items = self._splits.search
        if not isinstance(self._evaluator, ModelEvaluator) or self._evaluator.labels:
            return ""
        if free_text_share(items) <= FREE_TEXT_SHARE_MAX:
            return ""
        return (
            f"most expected answers of {self._config.dataset_name!r} are free text (for instance {_shown(items[0].expected)}), "
            "and an answer counts as right only if it is the expected one: no prompt could score. Evolve on a data set "
            "of labels or short answers, or call the library with an evaluation_fn that judges texts"
        )

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
        score = await search.measure_seed()
        self._progress(0, f"the seed prompt scores {score:.3f}")
        return score

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
        # Out of time there is time for one, as `time_is_up` planned.
        finalists = search.finalists(1 if search.race.out_of_time else plan.finalists_count)
        if not finalists:
            stopped = "stopped_by_budget" if self._stopped_by else "no_evidence"
            return Ending(stopped, self._stopped_by or "no candidate was ahead of the seed prompt in the search")
        return await self._gate(finalists, plan)

    def _search_only(self, why: str) -> Ending:
        best = self.search.best
        return Ending("search_only", f"{why}: the best score is that of the search, which flatters", best)

    async def _gate(self, finalists: list[Candidate], plan: GatePlan) -> Ending:
        search, items = self.search, self._splits.gate[: plan.items_count]
        await search.race.ask(search.seed, items, kept_calls=0)
        search.check_missing(search.seed, items)
        pairs = []
        for finalist in finalists:
            await search.race.ask(finalist, items, kept_calls=0)
            pairs.append(self._paired(finalist, items))
        report = decide(pairs, self._config.alpha, seed=stream(self._config.seed, "gate").getrandbits(32))
        self._log.decided("gate", report=report.as_dict())
        return self._ending(report, finalists)

    def _paired(self, finalist: Candidate, items: Sequence[Item]) -> PairedScores:
        search = self.search
        try:
            search.check_missing(finalist, items)
        except TooManyMissing:
            # What a model refuses is seldom the easy part: on what is left the finalist would look too good.
            return PairedScores(finalist.version, [], [])
        both = [(search.matrix.score(finalist, item), search.matrix.score(search.seed, item)) for item in items]
        known = [(one, other) for one, other in both if one is not None and other is not None]
        return PairedScores(finalist.version, [one for one, _ in known], [other for _, other in known])

    def _ending(self, report: GateReport, finalists: list[Candidate]) -> Ending:
        cut_short = f" (the search was cut short: {self._stopped_by})" if self._stopped_by else ""
        if report.winner is None:
            return Ending("no_evidence", _compared(report.judged) + cut_short, gate=report)
        winner = next(one for one in finalists if one.version == report.winner.version)
        gain = report.winner
        reason = (
            f"{100 * gain.gain:+.1f} points on {gain.pairs_count} fresh items "
            f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}), p = {gain.p_adjusted:.3f}"
        )
        calibrated = "; the gain includes label calibration" if winner.calibrated else ""
        return Ending("improved", reason + calibrated + cut_short, winner, report)

    def _progress(self, iteration: int, message: str) -> None:
        point = self.search.tracker.history[-1]
        self._log.decided("iteration", iteration=iteration, point=point, message=message)
        self._on_progress(iteration, point["score"], self._calls_count(), message)


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…")


def _compared(judged: Finalist | None) -> str:
    if judged is None:
        return "the model refused too many fresh items of every finalist to compare it with the seed prompt"
    return (
        f"on {judged.pairs_count} fresh items the best finalist has {judged.score:.2f} where the seed prompt has "
        f"{judged.seed_score:.2f}: {100 * judged.gain:+.1f} points, p = {judged.p_adjusted:.3f}"
    )


def results_of(run: Run, ending: Ending, splits: Splits) -> dict[str, Any]:
    """The result keys of the public contract, as plain JSON."""
    search = run.search
    chosen = ending.winner or search.seed
    fresh = ending.gate.winner if ending.gate else None
    history = search.tracker.history
    seed_scores = search.matrix.scores(search.seed, splits.search)
    seed_performance = sum(seed_scores) / len(seed_scores) if seed_scores else None
    best_scores = search.matrix.scores(chosen, splits.search)
    searched = sum(best_scores) / len(best_scores) if best_scores else None
    performance = searched
    judged = ending.gate.judged if ending.gate else None
    if judged is not None:
        # Both numbers from the same fresh items, whoever stays.
        seed_performance = judged.seed_score
        performance = fresh.score if fresh else judged.seed_score
    return {
        "best_performance": performance,
        "best_prompt": chosen.prompt.render(),
        "performance_history": history,
        "outcome": ending.outcome,
        "reason": ending.reason,
        "gate": ending.gate.as_dict() if ending.gate else None,
        "judged": asdict(judged) if judged else None,
        "seed_performance": seed_performance,
        "best_version": chosen.version,
        "best_package": {
            "prompt": chosen.prompt.render(),
            "blocks": chosen.prompt.as_blocks(),
            "label_bias": search.matrix.bias(chosen),
            "label_sharpness": search.matrix.calibration(chosen).sharpness,
        },
        "search_best": {
            "prompt": search.best.prompt.render(),
            "version": search.best.version,
            "calibrated": search.best.calibrated,
        },
        "lineage": search.tracker.lineage,
        "decisions": search.tracker.decisions,
        "items": {"search": len(splits.search), "gate": len(splits.gate), "duplicates": splits.duplicates_count},
    }
