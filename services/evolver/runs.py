"""One ACLA run out of a request: prompt, data set, model and caps, settled once and kept in the run's folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.curriculum_agent import AdaptiveCurriculumAgent
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.request import EvolutionSettings
from meta_learning.acla.store import RunStore
from meta_learning.errors import Cancelled
from meta_learning.events import EvolutionRequested
from meta_learning.llm import LLM
from meta_learning.llm.retry import Retrying
from meta_learning.registry import Store
from meta_learning.registry.runs import FileRunStore
from meta_learning.streams import Log
from services.evolver import prompts
from services.evolver.ending import OUTCOMES, Ending, failed
from services.evolver.lease import Lease
from services.evolver.models import CountedLLM, connect_model, limits_of, paid_usd, patience
from services.evolver.reports import Reports
from services.evolver.samples import dataset_of
from services.evolver.settings import EvolverSettings

CLOSE_WAIT_S = 1.0


class Run:
    """The run that ``request`` asks for. `go` may be called again in another process: it goes on where it stopped."""

    def __init__(self, settings: EvolverSettings, request: EvolutionRequested, stream: Log, store: Store) -> None:
        self._settings, self._request, self._stream, self._store = settings, request, stream, store
        self._folder = settings.data_folder / "runs" / request.loop / request.run_id

    async def go(self, lease: Lease, reports: Reports) -> Ending:
        """Run to the end.

        Raises:
            Cancelled: ``lease`` says stop.
            LLMUnavailable: the model does not answer.
            CallerError: the request cannot be fulfilled as it stands.
        """
        asked = EvolutionSettings.read(self._request.settings)
        self._folder.mkdir(parents=True, exist_ok=True)
        prompt = await self._first_prompt(asked)
        samples = await dataset_of(asked.dataset, self._request.loop, self._stream, self._folder)
        journal = FileRunStore(self._folder.parent)
        llm = self._model(asked, journal, lease)
        try:
            agent = AdaptiveCurriculumAgent(
                self._config(asked, prompt, llm),
                llm,
                store=journal,
                run_id=self._request.run_id,
                retry=Retrying(patience(self._settings.llm_outage_wait_s)),
                on_progress=lambda *said: reports.progressed(asked.max_iterations, *said),
                should_stop=lambda: lease.stop is not None,
            )
            # The loader may hold fewer items than the gate would like: then the agent asks for the search's alone.
            results = await agent.run_curriculum(
                lambda n: samples.get_samples(n, seed=asked.seed), num_samples=asked.num_samples
            )
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await llm.close()
        if results["outcome"] == "cancelled":
            raise Cancelled(results["reason"])
        return ending_of(results, promote=asked.promote)

    def _model(self, asked: EvolutionSettings, journal: RunStore, lease: Lease) -> LLM:
        llm = connect_model(asked, self._settings)
        money_max = limits_of(asked, self._settings, llm).money_usd
        paid = paid_usd(journal.read(self._request.run_id), llm.provider)
        return CountedLLM(llm, lease.count, money_max, paid)

    def _config(self, asked: EvolutionSettings, prompt: str, llm: LLM) -> CurriculumConfig:
        limits = limits_of(asked, self._settings, llm)
        return CurriculumConfig(
            initial_prompt=prompt,
            dataset_name=asked.dataset,
            max_iterations=asked.max_iterations,
            min_performance_threshold=asked.min_performance_threshold,
            improvement_threshold=asked.improvement_threshold,
            evolution_strategies=list(asked.strategies),
            llm_provider=llm.provider,
            model_name=llm.model,
            temperature=asked.temperature,
            seed=asked.seed,
            gate_samples=asked.gate_samples,
            calls_max=limits.calls,
            seconds_max=limits.seconds,
        )

    async def _first_prompt(self, asked: EvolutionSettings) -> str:
        """The prompt to start from, settled at the run's first start: the loop's own may have changed since."""
        settled = self._folder / "initial_prompt.txt"
        if not settled.exists():
            text = asked.initial_prompt or await self._current_prompt() or prompts.DEFAULT_PROMPTS[asked.dataset]
            await asyncio.to_thread(_write, settled, text)
        return await asyncio.to_thread(settled.read_text, "utf-8")

    async def _current_prompt(self) -> str | None:
        manifest = await self._stream.pointer(self._request.loop, prompts.POINTER)
        return None if manifest is None else await asyncio.to_thread(prompts.text_of, self._store, manifest)


def ending_of(results: dict[str, Any], promote: bool) -> Ending:
    """What the agent's results mean for the loop: only ``improved`` brings a prompt."""
    if results["outcome"] not in OUTCOMES:
        return failed(f"the run ended in an unknown way: {results['outcome']}")
    winner = (results.get("gate") or {}).get("winner") or {}
    improved = results["outcome"] == "improved"
    text = results["best_prompt"]
    return Ending(
        outcome=results["outcome"],
        reason=results["reason"],
        seed_score=results["seed_performance"],
        best_score=results["best_performance"],
        low=winner.get("low"),
        high=winner.get("high"),
        calls_count=results["calls"],
        prompt=text if improved else None,
        blocks=_blocks(text, results["best_package"]["label_bias"]) if improved else {},
        promote=promote,
    )


def _blocks(text: str, label_bias: dict[str, float]) -> dict[str, Any]:
    blocks = {name: value for name, value in asdict(Prompt.parse(text)).items() if value and name != "verbatim"}
    return blocks | ({"label_bias": label_bias} if label_bias else {})


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
