"""The agent: an initial prompt, a data set and a model in; a better prompt, or an honest no, out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from meta_learning.acla.asking import Asking
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.evaluating import EvaluationFn, FunctionEvaluator, ModelEvaluator
from meta_learning.acla.model_judge import CALLS_EACH, JudgedEvaluator
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.pacing import only_gate_fits
from meta_learning.acla.planning import plan_gate
from meta_learning.acla.preparing import DatasetLoader, draw, labels_of, unknown_answer
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.prompt_evolver import ModelProposer, PromptEvolver
from meta_learning.acla.reporting.snapshot import Snapshot, snapshot_of
from meta_learning.acla.results import results_of
from meta_learning.acla.run import OnProgress, Run
from meta_learning.acla.search import Search, Tools
from meta_learning.acla.splits import Splits, items_digest
from meta_learning.acla.store import MemoryRunStore, RunLog, RunStore
from meta_learning.errors import CallerError
from meta_learning.llm import LLM, connect, wrap
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.retry import Retrying


class AdaptiveCurriculumAgent:
    """Evolves ``config.initial_prompt``. ``llm_client`` (a vendor's client, or an `LLM`) wins over ``config.llm_provider``.

    With a durable ``store`` a run that was killed goes on under the same ``run_id``: it comes to the same result, and no
    recorded call is paid twice. ``should_stop`` is asked before every call; ``on_progress(iteration, best, calls, message)``
    is told after every iteration.
    """

    def __init__(
        self,
        config: CurriculumConfig,
        llm_client: Any = None,
        *,
        store: RunStore | None = None,
        run_id: str = "run",
        retry: Retrying | None = None,
        on_progress: OnProgress | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.config = config
        self._client = llm_client
        self._store = store
        self._run_id = run_id
        self._retry = retry
        self._on_progress: OnProgress = on_progress or (lambda iteration, best, calls, message: None)
        self._should_stop: Callable[[], bool] = should_stop or (lambda: False)
        self._moment: Callable[[], Snapshot | None] = lambda: None

    def snapshot(self) -> Snapshot | None:
        """Where the run stands now, for whoever shows it from the same event loop; None before it has begun."""
        return self._moment()

    async def run_curriculum(
        self, dataset_loader: DatasetLoader, evaluation_fn: EvaluationFn | None = None, num_samples: int = 100
    ) -> dict[str, Any]:
        """Evolve the prompt on ``num_samples`` items; decide on fresh ones, drawn in addition.

        The result's ``outcome`` is ``improved``, ``no_evidence``, ``no_headroom``, ``stopped_by_budget``, ``search_only``,
        ``failed`` or ``cancelled``; ``best_prompt`` is the initial one unless it improved (or there was only a search).
        `Prompt.parse(best_prompt).messages(text)` is what to send for an input; an ``evaluation_fn`` gets texts, and may do the same.

        Raises:
            LLMUnavailable: the model does not answer; run again with the same store and ``run_id`` to go on.
            MalformedDataset: the loader gives no usable samples.
            CallerError: ``evaluation_fn`` returns no scores, the model is unknown, or a setting is wrong.
        """
        llm = wrap(self._client, self.config.model_name) if self._client is not None else _connected(self.config)
        try:
            return await self._run(llm, dataset_loader, evaluation_fn, num_samples)
        finally:
            if self._client is None:
                await llm.close()

    async def _run(
        self, llm: LLM, loader: DatasetLoader, evaluation_fn: EvaluationFn | None, count: int
    ) -> dict[str, Any]:
        splits = await draw(loader, count, self.config)
        log = RunLog(self._store or MemoryRunStore(), self._run_id, llm.provider)
        items = (*splits.search, *splits.gate)
        data = {"items": [item.id for item in items], "data": items_digest(items)}
        log.decided("started", config=self.config.as_dict(), provider=llm.provider, model=llm.model, **data)
        if log.results is not None:
            return log.results
        config = self.config
        ledger = Ledger(Caps(config.calls_max, config.tokens_max, config.money_usd_max, config.seconds_max))
        ledger.restore(log.paid, log.seconds)
        each = CALLS_EACH if config.judge is not None and evaluation_fn is None else 1
        model = metered(llm, ledger, log, self._retry or Retrying())
        asking = Asking(model, log, config.calls_max, self._should_stop, each)
        # As JSON, so that a finished run answers with equal results from its log.
        results: dict[str, Any] = json.loads(
            json.dumps(await self._searched_and_judged(splits, asking, log, ledger, evaluation_fn))
        )
        if results["outcome"] != "cancelled":
            log.finished(results)
        return results

    async def _searched_and_judged(
        self, splits: Splits, asking: Asking, log: RunLog, ledger: Ledger, evaluation_fn: EvaluationFn | None
    ) -> dict[str, Any]:
        config = self.config
        labels = () if asking.calls_each > 1 else _labels(config, splits)
        evaluator: ModelEvaluator | FunctionEvaluator
        if evaluation_fn is not None:
            evaluator = FunctionEvaluator(asking, log, evaluation_fn, ledger.check_time)
        else:
            evaluator = (
                JudgedEvaluator(asking, config) if asking.calls_each > 1 else ModelEvaluator(asking, config, labels)
            )
        proposer = ModelProposer(asking, config)
        evolver = PromptEvolver(config, proposer, splits.search)
        incumbent = _incumbent(config, labels)
        if len(incumbent) > 1 and evaluation_fn is not None:
            raise CallerError("initial_voters need answers to vote with; an evaluation_fn gives only scores")
        evolver.known |= {one.prompt.version for one in incumbent}
        plan = plan_gate(len(splits.gate), config.calls_max, config.ensemble_size, len(incumbent), asking.calls_each)
        planned = plan.report(config.alpha)
        log.decided("planned", **planned)

        def time_is_up() -> bool:
            can = asking.llm.capabilities
            sure = int(can.extras.get("concurrency_sure", can.concurrency_max))
            batch_wait_s = float(can.extras.get("batch_wait_s", 0.0))
            return log.time_is_up(asking.calls_count, only_gate_fits(ledger, plan, sure, batch_wait_s))

        tools = Tools(config, evaluator, asking, evolver, time_is_up)
        search = Search(tools, incumbent, splits.search, labels, plan.questions_count)
        self._moment = lambda: snapshot_of(search, ledger, asking.calls_count)
        run = Run(config, splits, search, evaluator, log, self._on_progress)
        ending = await run.to_the_end(plan, asking)
        asked = isinstance(evaluator, ModelEvaluator)
        endpoint = evaluator.endpoint if isinstance(evaluator, ModelEvaluator) else None
        return results_of(search, ending, splits, endpoint) | {
            "candidates": [asdict(row) for row in snapshot_of(search, ledger, asking.calls_count).rows],
            "plan": planned,
            "wavering": run.wavering.report(plan, config.alpha) if run.wavering else None,
            "calls": asking.calls_count,
            "spent": asdict(ledger.spent) | {"purposes": ledger.by_purpose()},
            "scoring": evaluator.scoring,
            "temperature_accepted": proposer.sampling_accepted and (not asked or evaluator.sampling_accepted),  # type: ignore[union-attr]
            "rejected_proposals": evolver.rejected,
        }


def _labels(config: CurriculumConfig, splits: Splits) -> tuple[str, ...]:
    """Which answers there are. Out of all items: a class that only the fresh ones have could never be answered in use.

    The items have the spelling of the labels already, so that what is expected of one is compared as it stands.
    """
    items = (*splits.search, *splits.gate)
    if (unknown := unknown_answer(config, items)) is not None:
        raise CallerError(f"{unknown!r} is expected of an item and is none of the labels {config.labels}")
    return labels_of(config, items)


def _incumbent(config: CurriculumConfig, labels: tuple[str, ...]) -> tuple[Candidate, ...]:
    """What is in use: the initial prompt, and those that vote with it. Judged texts have no labels whose weights could be fitted."""
    kept = config.contract
    weighed = config.initial_calibrated and config.judge is None
    first = Candidate(Prompt.parse(config.initial_prompt, labels, kept), weighed)
    others = (
        # A voter may say it in other words: then those are guessed.
        Candidate(
            Prompt.parse(one["prompt"], labels, kept if kept is not None and kept in one["prompt"] else None),
            one["calibrated"],
        )
        for one in config.initial_voters
    )
    return tuple({one.version: one for one in (first, *others)}.values())


def _connected(config: CurriculumConfig) -> LLM:
    return connect(config.llm_provider, config.model_name)
