"""The runner: one comparison, or a whole grid, from its settings to a result that is saved, logged and repeatable.

>>> import asyncio, tempfile
>>> from meta_learning.datasets import Sentiment140Loader
>>> from meta_learning.llm.scripted import ScriptedLLM
>>> llm = ScriptedLLM(lambda request: "positive")
>>> with tempfile.TemporaryDirectory() as folder:
...     runner = ExperimentRunner(llm_client=llm, folder=folder, gate_samples=30, test_samples=40)
...     comparison = asyncio.run(runner.run_comparison_study(dataset_name="sentiment140",
...         dataset_loader=Sentiment140Loader(), initial_prompt="Judge the tweet.", num_iterations=1, sample_size=30))
>>> comparison["meta_prompting_wins"], comparison["win_margin"]
(False, 0.0)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from meta_learning import datasets
from meta_learning.acla import AdaptiveCurriculumAgent, CurriculumConfig
from meta_learning.datasets.card import card_of
from meta_learning.errors import MetaLearningError
from meta_learning.experiments.asking import Package, PromptAsker
from meta_learning.experiments.comparator import ALPHA
from meta_learning.experiments.comparison_study import HAND_WRITTEN, META, STATIC, Judge, result_of, tested
from meta_learning.experiments.drawing_items import Items, Wanted, draw
from meta_learning.experiments.grid import Grid
from meta_learning.experiments.kinds import data_of, read_study, reported, score_of, scores_of
from meta_learning.experiments.loading import dataset_of
from meta_learning.experiments.loops.config import LoopStudyConfig
from meta_learning.experiments.loops.system import doors_open
from meta_learning.experiments.predictions import labels_of
from meta_learning.experiments.study import OnCell, Study, Workers
from meta_learning.experiments.workers import OneProcess, Processes
from meta_learning.llm import LLM, connect, wrap
from meta_learning.llm.cache import MemoryCache
from meta_learning.llm.ledger import Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.retry import Retrying
from meta_learning.registry.runs import FileRunStore
from meta_learning.utils.lines import write_whole
from meta_learning.utils.logger import DATA_FOLDER, ExperimentLogger
from meta_learning.utils.sinks import Sink

STUDIES = "studies"
OnProgress = Callable[[int, float, int, str], None]


class ExperimentRunner:
    """Runs comparisons and studies, and keeps everything that they made under ``folder``.

    ``llm_client``: a vendor's client or an `LLM`; without one a comparison connects ``llm_provider``, and a study the models
    of its settings. ``gate_samples`` and ``test_samples`` fresh items are drawn in addition to those that are searched on.
    ``alpha`` is the chance of calling equal arms different. ``config`` overrides further fields of `CurriculumConfig`.
    """

    def __init__(
        self,
        llm_client: Any = None,
        *,
        folder: str | Path = DATA_FOLDER,
        seed: int = 0,
        gate_samples: int = 100,
        test_samples: int = 200,
        flip_samples: int = 20,
        alpha: float = ALPHA,
        llm_provider: str = "anthropic",
        sinks: Sequence[Sink] = (),
        on_progress: OnProgress | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._client, self._provider = llm_client, llm_provider
        self._folder, self._seed, self._alpha = Path(folder), seed, alpha
        self._gate_samples, self._test_samples, self._flip_samples = gate_samples, test_samples, flip_samples
        self._sinks, self._on_progress, self._config = sinks, on_progress, dict(config or {})

    async def run_comparison_study(
        self,
        dataset_name: str,
        dataset_loader: Any = None,
        initial_prompt: str = "",
        num_iterations: int = 10,
        sample_size: int = 100,
        evaluation_fn: Any = None,
        hand_written_prompt: str | None = None,
        fine_tuning: bool = False,
        run_id: str | None = None,
    ) -> dict[str, Any]:
        """Evolve ``initial_prompt``, then judge what came of it against the static prompt on items that nobody has seen.

        ``dataset_loader``: an object with ``get_samples``, or a function of a count; None loads ``dataset_name``.
        ``hand_written_prompt`` and ``fine_tuning`` add arms. With a ``run_id`` a comparison that was killed goes on, and pays
        no call of its search twice. The result also lies in ``summary.json`` of the run's folder, ``result["folder"]``.

        Raises:
            LLMUnavailable: the model does not answer; the same ``run_id`` goes on from there.
            MalformedDataset: the loader gives no usable samples.
            CallerError: a setting is wrong, or ``evaluation_fn`` returns no scores.
        """
        wanted = Wanted(sample_size, self._gate_samples, self._test_samples)
        items = await draw(dataset_loader or datasets.load(dataset_name), wanted, self._seed)
        # The same that the prompts are judged by: few items to search on may not show all of them.
        labels = list(labels_of(items.pool))
        settings = self._settings(initial_prompt, dataset_name, num_iterations, labels)
        name = "comparison-" + (re.sub(r"[^A-Za-z0-9._-]+", "-", dataset_name).strip("-.") or "data")[:80]
        with ExperimentLogger(name, self._folder, run_id, self._sinks) as log:
            log.log_config({**settings.as_dict(), "sample_size": sample_size, "test_samples": self._test_samples})
            log.log_data("pool", items.pool)
            log.log_data("test", items.test)
            llm = wrap(self._client) if self._client is not None else connect(self._provider, settings.model_name)
            try:
                run = await self._searched(settings, llm, items, evaluation_fn, min(sample_size, len(items.pool)), log)
                prompts = {
                    STATIC: initial_prompt,
                    **({HAND_WRITTEN: hand_written_prompt} if hand_written_prompt else {}),
                }
                compared = await self._judged(run, prompts, items, llm, evaluation_fn, fine_tuning)
            finally:
                if self._client is None:
                    await llm.close()
            result: dict[str, Any] = {"dataset_name": dataset_name, "initial_prompt": initial_prompt, **compared}
            result |= {"run_id": log.run_id, "folder": str(log.folder)}
            log.log_event("verdict", result["verdict"])
            log.log_summary(result)
        return result

    def run_study(
        self,
        config: Grid | Mapping[str, Any] | str | Path,
        workers: int | Workers = 1,
        on_cell: OnCell = lambda cell, result: None,
        services: str | None = None,
    ) -> dict[str, Any]:
        """Run a grid of any kind; started again with the same settings it goes on where it stopped.

        ``workers``: how many processes, or who else runs cells (`meta_learning.experiments.queueing.QueueWorkers`). The models
        are those of the settings: a client object cannot go to another process. The report lies in ``report.json``.
        ``services``: the address of the system whose loops a study with ``services = true`` uses; without it one is started.

        Raises:
            NotFound, ConfigurationError: the settings.
            BrokerUnavailable: the queue does not answer.
            WorldError: a service of the system does not answer.
        """
        checked = config if isinstance(config, Grid) else read_study(config)
        study = Study(checked, self._folder / STUDIES)
        at_work: Workers = (
            (OneProcess() if workers == 1 else Processes(workers)) if isinstance(workers, int) else workers
        )
        errors: list[dict[str, str]] = []

        def told(cell: Any, result: dict[str, Any]) -> None:
            if "error" in result:
                errors.append({"cell": cell.label, "error": result["error"]})
                log.log_event("error", f"{cell.label}: {result['error']}")
            else:
                log.log_iteration(study.counts[0], {"cell": cell.label, "score": score_of(result)})
            on_cell(cell, result)

        with ExperimentLogger(study.config.id, self._folder, study.config.id, self._sinks) as log:
            log.log_config(checked.model_dump(mode="json"), {"seeds": checked.seeds})
            _note_data(checked, study.folder, log)
            with _through(checked, study, services):
                results = study.run(at_work, told)
            report = {"title": checked.name, "study": checked.id, **reported(checked, results, errors)}
            write_whole(study.folder / "report.json", json.dumps(report, ensure_ascii=False, indent=1).encode())
            said = {"cells": len(results), "errors": len(errors), "report": str(study.folder / "report.json")}
            log.log_summary(said | {"scores": scores_of(report)})
        return report | {"folder": str(study.folder)}

    def _settings(
        self, initial_prompt: str, dataset_name: str, num_iterations: int, labels: list[str]
    ) -> CurriculumConfig:
        said = {
            "initial_prompt": initial_prompt,
            "dataset_name": dataset_name,
            "max_iterations": num_iterations,
            "gate_samples": self._gate_samples,
            "seed": self._seed,
            "llm_provider": self._provider,
            "labels": labels,
        }
        return CurriculumConfig(**{**said, **self._config})

    async def _searched(
        self, settings: CurriculumConfig, llm: LLM, items: Items, evaluation_fn: Any, count: int, log: ExperimentLogger
    ) -> dict[str, Any]:
        def told(iteration: int, best: float, calls: int, message: str) -> None:
            log.log_iteration(iteration, {"best_score": best, "calls": calls})
            if self._on_progress is not None:
                self._on_progress(iteration, best, calls, message)

        store = FileRunStore(log.folder / "searches")
        agent = AdaptiveCurriculumAgent(settings, llm, store=store, run_id="search", on_progress=told)
        return await agent.run_curriculum(items.load, evaluation_fn, num_samples=count)

    async def _judged(
        self,
        run: dict[str, Any],
        prompts: dict[str, str],
        items: Items,
        llm: LLM,
        evaluation_fn: Any,
        fine_tuning: bool,
    ) -> dict[str, Any]:
        asked = metered(llm, Ledger(), MemoryCache(), Retrying())
        tokens = int(self._config.get("reasoning_tokens", 256))
        asker = PromptAsker(asked, labels_of(items.pool), reasoning_tokens=tokens)
        judge = Judge(asker if evaluation_fn is None else None, evaluation_fn, items.test)
        best = Package(run["best_prompt"], run["best_package"]["label_bias"])
        packages = {META: best} | {arm: Package(text, {}) for arm, text in prompts.items()}
        outcome = await tested(judge, packages, items, fine_tuning, self._alpha, self._seed)
        result = result_of(run, outcome, items, self._seed)
        if META in outcome.predictions and self._flip_samples:
            result["flip_rate"] = await judge.flip_rate(best, self._flip_samples, outcome.predictions[META])
        return result


def _through(config: Grid, study: Study, services: str | None) -> AbstractContextManager[object]:
    """The system that the cells need, as long as some of them are not done."""
    done, total = study.counts
    if not isinstance(config, LoopStudyConfig) or not config.services or done == total:
        return nullcontext()
    return doors_open(study.folder, config.settings, services)


def _note_data(config: Grid, folder: Path, log: ExperimentLogger) -> None:
    """The digest and the card of each data set, ``data-NAME.md`` beside the report; what cannot be read its cells will say."""
    for named in data_of(config):
        try:
            loader = dataset_of(named)
            log.log_data(named.name, loader.get_samples(len(loader)))
            write_whole(folder / f"data-{named.name}.md", card_of(named.name, loader).as_markdown().encode())
        except MetaLearningError as error:
            log.log_event("no_data", f"{named.name}: {error}")
