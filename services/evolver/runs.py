"""One ACLA run out of a request: prompt, data set, model and caps, settled once and kept in the run's folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.curriculum_agent import AdaptiveCurriculumAgent
from meta_learning.acla.model_judge import CALLS_EACH
from meta_learning.acla.request import EvolutionSettings
from meta_learning.errors import Cancelled, ConfigurationError
from meta_learning.events import EvolutionRequested
from meta_learning.llm import LLM
from meta_learning.llm.batch_book import BatchBook
from meta_learning.llm.batching import BatchingLLM, Terms
from meta_learning.llm.retry import Retrying, RetryPolicy
from meta_learning.registry import Store
from meta_learning.registry.prompts import Voter
from meta_learning.registry.runs import FileRunStore
from meta_learning.streams import Log
from services.evolver import prompts
from services.evolver.crew import Crew
from services.evolver.ending import OUTCOMES, Ending, failed
from services.evolver.helping import HelpQueue, open_desk
from services.evolver.lease import Lease, Stop
from services.evolver.models import CountedLLM, connect_model, limits_of
from services.evolver.reports import Reports
from services.evolver.samples import dataset_of
from services.evolver.settings import EvolverSettings
from services.evolver.sharing import SharedLLM

NOT_VOTED_FOR = "judged answers are free texts, which cannot be voted for"
CLOSE_WAIT_S, CALL_OFF_WAIT_S = 1.0, 3.0


@dataclass(frozen=True, slots=True)
class Start:
    """The prompt that a run sets out from, those that vote with it, and the loop's champion (the digest of its manifest)."""

    prompt: str
    champion: str | None
    calibrated: bool = False
    voters: list[dict[str, Any]] = field(default_factory=list)


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
        start = await self.start(asked)
        samples = await dataset_of(asked.dataset, self._request.loop, self._stream, self._folder, asked.group)
        journal = FileRunStore(self._folder.parent)
        model, at_once = connect_model(asked, self._settings), self._settings.llm_concurrency_max
        batching = self._in_batches(model, asked, start) if asked.batch else None
        # Of a batch thousands are on their way at once; what is asked beside it keeps to the service's bound.
        llm = CountedLLM(batching, lease.count) if batching else CountedLLM(model, lease.count, at_once)
        try:
            async with self._asked_by_all(llm, asked, lease.token) as asking:
                agent = AdaptiveCurriculumAgent(
                    self._config(asked, start, llm),
                    asking,
                    store=journal,
                    run_id=self._request.run_id,
                    retry=Retrying(RetryPolicy.within(self._settings.llm_outage_wait_s)),
                    on_progress=lambda *said: reports.progressed(asked.max_iterations, *said),
                    should_stop=lambda: lease.stop is not None,
                )
                # The loader may hold fewer items than the gate would like: then the agent asks for the search's alone.
                results = await agent.run_curriculum(
                    lambda n: samples.get_samples(n, seed=asked.seed), num_samples=asked.num_samples
                )
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALL_OFF_WAIT_S):
                    if batching and lease.stop is Stop.CANCELLED:
                        await batching.call_off()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await llm.close()
        if results["outcome"] == "cancelled":
            raise Cancelled(results["reason"])
        return ending_of(results, asked.promote, start.champion)

    def _in_batches(self, llm: LLM, asked: EvolutionSettings, start: Start) -> BatchingLLM:
        """``llm`` with its batch endpoint; what is on its way is noted in the run's folder, for whoever takes the run up again."""
        if llm.provider not in ("anthropic", "openai"):
            raise ConfigurationError(f"{llm.provider} takes no batches: leave batch out, or use anthropic or openai")
        from meta_learning.llm.batches import batches_of

        seconds = limits_of(asked, self._settings, llm).seconds
        at_once, each = self._settings.llm_concurrency_max, 1 if asked.judge is None else CALLS_EACH
        terms = Terms.within(seconds, at_once, incumbents_count=1 + len(start.voters), calls_each=each)
        return BatchingLLM(llm, batches_of(llm), BatchBook(self._folder / "batches.jsonl"), terms)

    @contextlib.asynccontextmanager
    async def _asked_by_all(self, llm: LLM, asked: EvolutionSettings, token: str) -> AsyncIterator[LLM]:
        """``llm`` as it is, or asked by helpers as well; what they said is put away once the run has its results."""
        if asked.workers == 1:
            yield llm
            return
        request, settings = self._request, self._settings
        desk, connection = open_desk(settings, request.loop, request.run_id)
        queue = HelpQueue(settings, request.loop, request.run_id, token, dict(request.settings))
        crew = Crew(desk, token, queue)
        try:
            for _ in range(asked.workers - 1):
                with contextlib.suppress(RedisError):
                    await crew.hire()
            async with SharedLLM(llm, desk, token, asked.workers, settings.lease_ttl_s, crew.replace_gone) as shared:
                yield shared
            with contextlib.suppress(RedisError):
                await desk.clear()
        finally:
            await connection.aclose()
            queue.close()

    def _config(self, asked: EvolutionSettings, start: Start, llm: LLM) -> CurriculumConfig:
        limits = limits_of(asked, self._settings, llm)
        return CurriculumConfig(
            initial_prompt=start.prompt,
            initial_calibrated=start.calibrated,
            initial_voters=start.voters,
            ensemble_size=asked.ensemble,
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
            probe_items=asked.probe_items,
            contract=asked.contract,
            judge=asked.judge,
            answer_tokens=asked.answer_tokens,
            reasoning_tokens=asked.reasoning_tokens,
            alpha=asked.alpha,
            tokens_price=asked.tokens_price,
            labels=asked.labels,
            calls_max=limits.calls,
            tokens_max=limits.tokens,
            seconds_max=limits.seconds,
            money_usd_max=limits.money_usd,
        )

    async def start(self, asked: EvolutionSettings) -> Start:
        """Where the run sets out from, settled at its first start: the loop's own prompt may have changed since.

        Raises:
            ConfigurationError: answers are to be judged, and what is in use is a vote.
        """
        settled = self._folder / "start.json"
        self._folder.mkdir(parents=True, exist_ok=True)
        if not settled.exists():
            start = await self._first_start(asked)
            await asyncio.to_thread(_write, settled, json.dumps(asdict(start), ensure_ascii=False))
        start = Start(**json.loads(await asyncio.to_thread(settled.read_text, "utf-8")))
        if start.voters and asked.judge is not None:
            version = await asyncio.to_thread(prompts.version_of, self._store, start.champion)
            vote = f"the prompt in use{f', {version},' if version else ''} is a vote of {1 + len(start.voters)} prompts"
            raise ConfigurationError(f"judge: {vote}, and {NOT_VOTED_FOR}: leave out judge, or give an initial_prompt")
        return start

    async def _first_start(self, asked: EvolutionSettings) -> Start:
        champion = await self._stream.pointer(self._request.loop, prompts.POINTER)
        if asked.initial_prompt is not None:
            return Start(asked.initial_prompt, champion)
        content = await asyncio.to_thread(prompts.content_of, self._store, champion) if champion else None
        if content is None:
            return Start(prompts.DEFAULT_PROMPTS[asked.dataset], champion)
        if not content.voters:
            return Start(content.text, champion, content.calibrated)
        first, *others = content.voters
        voters = [{"prompt": one.text, "calibrated": bool(one.label_bias)} for one in others]
        return Start(first.text, champion, bool(first.label_bias), voters)


def ending_of(results: dict[str, Any], promote: bool, champion: str | None) -> Ending:
    """What the agent's results mean for the loop, whose prompt was ``champion``: only ``improved`` brings a prompt."""
    if results["outcome"] not in OUTCOMES:
        return failed(f"the run ended in an unknown way: {results['outcome']}")
    # Where a gate took place both scores are of the items that it judged by: the finalist's that was judged, and the seed's beside it.
    judged = results.get("judged") or {}
    improved = results["outcome"] == "improved"
    package = results["best_package"]
    measured_with = {"label_bias": package["label_bias"]} if package["label_bias"] else {}
    if (results.get("endpoint") or {}).get("system_role") is False:
        measured_with["system_turn"] = False
    return Ending(
        outcome=results["outcome"],
        reason=results["reason"],
        seed_score=judged.get("seed_score", results["seed_performance"]),
        best_score=judged.get("score", results["best_performance"]),
        low=judged.get("low"),
        high=judged.get("high"),
        calls_count=results["calls"],
        prompt=package["prompt"] if improved else None,
        blocks=package["blocks"] | measured_with if improved else {},
        promote=promote,
        champion=champion,
        voters=tuple(_voter(one) for one in results.get("ensemble", ())) if improved else (),
        price=results.get("price") if improved else None,
    )


def _voter(package: dict[str, Any]) -> Voter:
    sharpness = package["label_sharpness"] if package["label_bias"] else 1.0
    return Voter(text=package["prompt"], label_bias=package["label_bias"], label_sharpness=sharpness)


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
