"""The best way to ask a prompt: trials on the same items, the hopeless cut short, then one decision on fresh items.

Nothing of the search itself is kept but what it was told: whoever runs it again draws the same trials, hears the recorded answers
and goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.gate import GateReport, PairedScores, decide
from meta_learning.acla.pacing import only_gate_fits
from meta_learning.acla.planning import GatePlan
from meta_learning.acla.preparing import DatasetLoader, draw
from meta_learning.acla.splits import Item, Splits, closed_labels, group_or_self, items_digest
from meta_learning.acla.statistics import said_p
from meta_learning.acla.store import RunLog, RunStore
from meta_learning.errors import BudgetExhausted, CallerError
from meta_learning.experiments.tuning.asking import Asked, Settings, drawn, examples_count, named
from meta_learning.experiments.tuning.asking_config import AskingConfig
from meta_learning.experiments.tuning.sampling import distributions, optuna_of_extra, sampler
from meta_learning.llm import LLM
from meta_learning.llm.retry import Retrying
from meta_learning.utils.lines import write_whole

# Of a trial's items: after each of these shares it is compared with the trials before it.
RUNGS = (1 / 4, 1 / 2, 1.0)
MISSING_SHARE_MAX = 0.1
OnTrial = Callable[[Mapping[str, Any]], None]


class AskingSearch:
    """One search, whose report goes into ``folder``.

    Raises:
        ConfigurationError: Optuna is not installed.
    """

    def __init__(
        self,
        config: AskingConfig,
        connect: Callable[[str | None], LLM],
        store: RunStore,
        retry: Retrying | None = None,
        on_trial: OnTrial = lambda trial: None,
    ) -> None:
        self.config = config
        self._connect, self._store, self._retry, self._on_trial = connect, store, retry or Retrying(), on_trial
        self._optuna = optuna_of_extra()
        self.trials: list[dict[str, Any]] = []

    async def run(self, loader: DatasetLoader, folder: Path) -> dict[str, Any]:
        """Search, decide, and report; the report also lies in ``report.json``.

        Raises:
            LLMUnavailable: the model does not answer; run it again to go on.
            CallerError: the data has too few items, or a model takes no temperature.
        """
        config = self.config
        splits = await draw(loader, config.items + examples_count(config), _drawing(config))
        examples, items = _divided(config, splits)
        log = RunLog(self._store, config.id, config.model.provider)
        data = {
            "items": [one.id for one in (*items, *splits.gate)],
            "data": items_digest((*splits.search, *splits.gate)),
        }
        log.decided("started", config=config.model_dump(mode="json"), **data)
        labels = closed_labels((*splits.search, *splits.gate))
        asked = Asked(config, self._connect, log, examples, labels, self._retry)
        plan = config.plan(len(splits.gate))
        try:
            stopped_by = await self._search(asked, items, plan, log)
            best = max((one for one in self.trials if one["state"] == "complete"), key=_rank, default=None)
            ending = await self._decide(asked, best, splits.gate[: plan.items_count], stopped_by, log)
        finally:
            await asked.close()
        report = self._report(asked, plan, best, ending)
        write_whole(folder / "report.json", json.dumps(report, ensure_ascii=False, indent=1).encode())
        return report | {"folder": str(folder)}

    async def _search(self, asked: Asked, items: Sequence[Item], plan: GatePlan, log: RunLog) -> str:
        """All trials; why they were cut short, empty where they were not."""
        study = self._optuna.create_study(
            direction="maximize", pruner=self._optuna.pruners.MedianPruner(n_startup_trials=4)
        )
        study.enqueue_trial(self.config.defaults())
        for number in range(self.config.trials):
            study.sampler = sampler(self.config.seed, number)
            trial = study.ask(distributions(self.config.space))
            try:
                self._note(study, trial, *await self._tried(asked, trial, items, plan, log), log)
            except BudgetExhausted as error:
                study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                return str(error)
        return ""

    async def _tried(
        self, asked: Asked, trial: Any, items: Sequence[Item], plan: GatePlan, log: RunLog
    ) -> tuple[list[float | None], bool]:
        """The scores of a trial, and whether it was cut short; the default never is: all others are compared with it."""
        scores: list[float | None] = []
        for share in RUNGS:
            if log.time_is_up(asked.calls_count, only_gate_fits(asked.ledger, plan, asked.concurrency_max)):
                raise BudgetExhausted("what is left of a cap is the decision's")
            rung = items[len(scores) : round(share * len(items))]
            scores += await asked.scores(trial.params, rung, plan.calls_count)
            trial.report(_mean(scores), len(scores))
            if share < 1.0 and trial.number > 0 and trial.should_prune():
                return scores, True
        return scores, False

    def _note(self, study: Any, trial: Any, scores: list[float | None], pruned: bool, log: RunLog) -> None:
        state = self._optuna.trial.TrialState
        missing = sum(score is None for score in scores) > MISSING_SHARE_MAX * len(scores)
        if missing or pruned:
            study.tell(trial, state=state.FAIL if missing else state.PRUNED)
        else:
            study.tell(trial, _mean(scores))
        said = {"trial": trial.number, "settings": dict(trial.params), "score": _mean(scores), "items": len(scores)}
        self.trials.append(said | {"state": "refused" if missing else "cut short" if pruned else "complete"})
        log.decided("trial", **self.trials[-1])
        self._on_trial(self.trials[-1])

    async def _decide(
        self, asked: Asked, best: Mapping[str, Any] | None, fresh: Sequence[Item], stopped_by: str, log: RunLog
    ) -> tuple[str, str, GateReport | None]:
        """The outcome, why, and what the gate saw."""
        cut_short = f" (the search was cut short: {stopped_by})" if stopped_by else ""
        default = self.config.defaults()
        if best is None or best["settings"] == default:
            outcome = "stopped_by_budget" if stopped_by else "no_evidence"
            return outcome, f"no trial was ahead of the default in the search{cut_short}", None
        if not fresh:
            return "search_only", "there are no fresh items for a decision: the best score of a search flatters", None
        try:
            pairs = zip(
                await asked.scores(best["settings"], fresh, 0), await asked.scores(default, fresh, 0), strict=True
            )
        except BudgetExhausted as error:
            return "stopped_by_budget", f"{error}, before there was a decision", None
        both = [(*pair, item) for pair, item in zip(pairs, fresh, strict=True)]
        known = [(one, other, item) for one, other, item in both if one is not None and other is not None]
        paired = PairedScores(
            named(best["settings"]),
            [one for one, _, _ in known],
            [other for _, other, _ in known],
            groups=[group_or_self(item) for _, _, item in known],
        )
        report = decide([paired], self.config.alpha, seed=drawn(self.config, "gate"))
        log.decided("gate", report=report.as_dict())
        judged = report.finalists[0]
        reason = (
            f"on {judged.pairs_count} fresh items {judged.version} has {judged.score:.2f} where the default has "
            f"{judged.seed_score:.2f}: {100 * judged.gain:+.1f} points (95 % interval {100 * judged.low:+.1f} to "
            f"{100 * judged.high:+.1f}; at the level of the test at least {100 * judged.at_least:+.1f}), "
            f"{said_p(judged.p_adjusted)}{cut_short}"
        )
        return ("improved" if report.winner else "no_evidence"), reason, report

    def _report(
        self,
        asked: Asked,
        plan: GatePlan,
        best: Mapping[str, Any] | None,
        ending: tuple[str, str, GateReport | None],
    ) -> dict[str, Any]:
        outcome, reason, gate = ending
        default = self.config.defaults()
        chosen: Settings = best["settings"] if best is not None and outcome == "improved" else default
        return {
            "kind": self.config.kind,
            "title": self.config.name,
            "outcome": outcome,
            "reason": reason,
            "chosen": dict(chosen),
            "default": default,
            "trials": self.trials,
            "plan": plan.report(self.config.alpha),
            "gate": gate.as_dict() if gate else None,
            "tokens_a_question": {name: round(count, 1) for name, count in asked.tokens.items()},
            "calls": asked.calls_count,
            "spent": asdict(asked.ledger.spent),
        }


def _divided(config: AskingConfig, splits: Splits) -> tuple[Sequence[Item], Sequence[Item]]:
    """Items that are shown, and items that are asked.

    Raises:
        CallerError: too few are left to ask.
    """
    count = examples_count(config)
    examples, items = splits.search[:count], splits.search[count:]
    if len(items) < 8:
        raise CallerError(f"{len(splits.search)} items are too few: {count} are set aside for examples")
    return examples, items


def _drawing(config: AskingConfig) -> CurriculumConfig:
    return CurriculumConfig(
        initial_prompt=config.dataset.initial_prompt,
        dataset_name=config.dataset.name,
        gate_samples=config.gate_items,
        seed=config.seed,
    )


def _rank(trial: Mapping[str, Any]) -> tuple[float, int]:
    """Of equals the first, so that the default stays where nothing is better."""
    return trial["score"], -trial["trial"]


def _mean(scores: Sequence[float | None]) -> float:
    known = [score for score in scores if score is not None]
    return fmean(known) if known else 0.0
