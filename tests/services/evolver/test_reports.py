"""How a run's end reaches the loop: once, in one step, and only over the prompt that it was compared with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from meta_learning.acla.request import EvolutionSettings
from meta_learning.errors import ConfigurationError
from meta_learning.events import EvolutionCompleted, EvolutionRequested, PromptPromoted, decode
from meta_learning.llm.scripted import ScriptedLLM
from meta_learning.registry.prompts import PromptContent
from meta_learning.registry.store import FileStore
from meta_learning.registry.versions import manifest_of
from meta_learning.streams import Log, partition_of
from meta_learning.streams.opening import open_log
from services.evolver import prompts
from services.evolver.ending import Ending
from services.evolver.queueing import JOB, connect, open_queue
from services.evolver.reports import OVERTAKEN, Reports
from services.evolver.runs import Run, Start, ending_of
from services.evolver.settings import EvolverSettings

LOOP = "support"
REQUEST = EvolutionRequested(event_id="e1", occurred_at=datetime.now(UTC), loop=LOOP, run_id="run-1")


@pytest.fixture
async def log(broker_url: str) -> AsyncIterator[Log]:
    log = open_log(broker_url)
    await log.start()
    yield log
    await log.close()


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


async def ended(broker_url: str, store: FileStore, ending: Ending) -> bool:
    """One life of the job that comes to its end."""
    connection = connect(broker_url)
    try:
        job = open_queue(connection).create_job(JOB, args=(REQUEST.encode().decode(),), job_id="job1")
        async with Reports(open_log(broker_url), store, REQUEST, job) as reports:
            return await reports.ends(ending)
    finally:
        await asyncio.to_thread(connection.close)


async def put_to_use(log: Log, store: FileStore, text: str) -> str:
    """An operator's prompt; the digest of its manifest."""
    version, manifest = prompts.keep(store, LOOP, PromptContent(text=text), None, {})
    promoted = PromptPromoted(event_id=f"op-{version}", occurred_at=datetime.now(UTC), loop=LOOP, version=version)
    await log.publish(LOOP, [promoted], {"prompt": manifest})
    return manifest


async def said(log: Log) -> list[Any]:
    entries = await log.entries(partition_of(LOOP, log.partitions_count), "events")
    events = [decode(entry.body) for entry in entries]
    return [event for event in events if getattr(event, "run_id", None) == "run-1"]


async def test_a_better_prompt_takes_over_once_however_often_its_end_is_said(
    log: Log, store: FileStore, broker_url: str
) -> None:
    champion = await put_to_use(log, store, "Be kind.")
    ending = Ending("improved", "+9 points", prompt="Be brief.", blocks={"task": "Be brief."}, champion=champion)
    assert await ended(broker_url, store, ending)
    digest = await log.pointer(LOOP, "prompt")
    assert digest is not None
    assert manifest_of(store, digest).parent == champion
    before = store.digests()
    # Killed before its job was marked as done: the next life says the same, and nothing moves.
    assert not await ended(broker_url, store, ending)
    assert (await log.pointer(LOOP, "prompt"), store.digests()) == (digest, before)
    assert [type(event) for event in await said(log)] == [EvolutionCompleted, PromptPromoted]


async def test_a_prompt_that_an_operator_set_meanwhile_is_not_replaced_by_one_never_compared_with_it(
    log: Log, store: FileStore, broker_url: str
) -> None:
    champion = await put_to_use(log, store, "Be kind.")
    operators = await put_to_use(log, store, "Never mention prices.")
    assert await ended(broker_url, store, Ending("improved", "+9 points", prompt="Be brief.", champion=champion))
    assert await log.pointer(LOOP, "prompt") == operators
    [completed] = await said(log)
    assert completed.outcome == "improved"
    assert OVERTAKEN in completed.reason
    assert completed.prompt_version is not None


async def test_prompts_that_vote_are_one_version_with_its_price_and_the_next_run_sets_out_from_all_of_them(
    log: Log, store: FileStore, broker_url: str, tmp_path: Path
) -> None:
    packages = [
        {"prompt": "Judge it.", "blocks": {"task": "Judge it."}, "label_bias": {"good": 0.5}, "label_sharpness": 2.0},
        {"prompt": "Decide.", "blocks": {"task": "Decide."}, "label_bias": {}, "label_sharpness": 1.0},
    ]
    price = {"calls": 2, "tokens": 60.0, "money_usd": None}
    found = results(outcome="improved", best_package=packages[0], ensemble=packages, price=price)
    assert await ended(broker_url, store, ending_of(found, promote=True, champion=None))
    digest = await log.pointer(LOOP, "prompt")
    assert digest is not None
    assert manifest_of(store, digest).numbers["price"] == price
    content = prompts.content_of(store, digest)
    assert content is not None
    assert [voter.text for voter in content.voters] == ["Judge it.", "Decide."]

    settings = EvolverSettings(redis_url=broker_url, data_folder=tmp_path)
    start = await Run(settings, REQUEST, log, store).start(EvolutionSettings())
    assert start == Start("Judge it.", digest, True, [{"prompt": "Decide.", "calibrated": False}])
    tokens = {"answer_tokens": 64, "reasoning_tokens": 512}
    asked = EvolutionSettings.read({"alpha": 0.05, "tokens_price": 0.2, "labels": ["good", "bad"], **tokens})
    run = Run(settings, REQUEST, log, store)
    config = run._config(asked, start, ScriptedLLM(lambda request: "good"))
    assert (config.alpha, config.tokens_price, config.labels) == (0.05, 0.2, ["good", "bad"])
    assert (config.answer_tokens, config.reasoning_tokens) == (64, 512)
    # Settled: whoever takes the run up again sets out from the same, whatever the loop uses by then.
    await put_to_use(log, store, "Be kind.")
    assert await Run(settings, REQUEST, log, store).start(EvolutionSettings()) == start


async def test_texts_are_not_judged_against_a_vote_and_the_refusal_names_the_one_in_use(
    log: Log, store: FileStore, broker_url: str, tmp_path: Path
) -> None:
    weights: dict[str, Any] = {"blocks": {}, "label_bias": {}, "label_sharpness": 1.0}
    packages = [{"prompt": text, **weights} for text in ("Be.", "Do.")]
    found = results(outcome="improved", best_package=packages[0], ensemble=packages)
    assert await ended(broker_url, store, ending_of(found, promote=True, champion=None))
    version = prompts.version_of(store, await log.pointer(LOOP, "prompt"))
    assert version is not None

    run = Run(EvolverSettings(redis_url=broker_url, data_folder=tmp_path), REQUEST, log, store)
    for _ in range(2):
        with pytest.raises(
            ConfigurationError, match=f"the prompt in use, {version}, is a vote of 2 prompts"
        ) as refused:
            await run.start(EvolutionSettings(judge=""))
        assert "initial_voters" not in str(refused.value)
    other = REQUEST.model_copy(update={"run_id": "run-2"})
    own = EvolutionSettings(judge="", initial_prompt="Reply.")
    settings = EvolverSettings(redis_url=broker_url, data_folder=tmp_path)
    assert (await Run(settings, other, log, store).start(own)).prompt == "Reply."


def results(**changes: Any) -> dict[str, Any]:
    package = {"prompt": "p", "blocks": {}, "label_bias": {}}
    told = {"outcome": "no_evidence", "reason": "", "calls": 9, "best_package": package, "gate": None, "judged": None}
    return told | {"seed_performance": 0.69, "best_performance": 0.69} | changes


def test_an_end_after_a_gate_compares_seed_and_finalist_on_the_same_fresh_items() -> None:
    judged = {"score": 0.56, "seed_score": 0.59, "low": -0.12, "high": 0.05, "gain": -0.03}
    ending = ending_of(results(judged=judged), promote=True, champion=None)
    assert (ending.seed_score, ending.best_score, ending.low, ending.high) == (0.59, 0.56, -0.12, 0.05)


def test_an_end_without_a_gate_has_the_search_items_scores_and_no_interval() -> None:
    ending = ending_of(results(outcome="search_only", best_performance=0.75), promote=True, champion=None)
    assert (ending.seed_score, ending.best_score, ending.low, ending.high) == (0.69, 0.75, None, None)
