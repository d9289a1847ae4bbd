"""The whole evolver as a process: a real broker, real workers, a real HTTP path to a (loopback) model."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from meta_learning.events import (
    EvolutionCancelRequested,
    EvolutionCompleted,
    EvolutionProgressed,
    PromptPromoted,
)
from meta_learning.experiments import StudyConfig
from meta_learning.experiments import queueing as studies
from meta_learning.experiments.workers import OneProcess
from meta_learning.registry.store import FileStore
from meta_learning.registry.versions import manifest_of
from meta_learning.streams import Log
from meta_learning.streams.opening import open_log
from services.evolver.prompts import content_of
from services.evolver.queueing import STUDIES
from services.evolver.worker import MONITORING_S
from tests.brokers import running as running_broker
from tests.services.evolver.driving import LOOP, events, feedback, job_of, request, told, until
from tests.services.evolver.loopback import MAGIC, Model
from tests.services.evolver.process import EvolverProcess, evolver, gone

pytestmark = pytest.mark.slow
CELLS: dict[str, Any] = {
    "name": "tweets",
    "datasets": [{"name": "sentiment140", "initial_prompt": "Judge the tweet."}],
    "strategies": ["fine_tuning"],
    "sizes": {"sample_size": 40, "gate_samples": 20, "test_samples": 40},
}


@pytest.fixture
def running(broker_url: str, model_url: str, log: Log, tmp_path: Path) -> Iterator[EvolverProcess]:
    with evolver(broker_url, model_url, tmp_path / "data") as process:
        yield process


async def test_a_better_prompt_is_found_kept_and_promoted_in_one_step(
    log: Log, running: EvolverProcess, broker_url: str, tmp_path: Path
) -> None:
    await request(log, "run-1")
    [completed] = await until(log, "run-1", EvolutionCompleted)
    assert completed.outcome == "improved", completed.reason
    said = await events(log, "run-1")
    iterations = [event.iteration for event in said if isinstance(event, EvolutionProgressed)]
    assert iterations == [0, 1, 2]
    job = await asyncio.to_thread(job_of, broker_url, "request-run-1")
    # The event comes first, the queue's own result a moment later.
    assert (await asyncio.to_thread(job.latest_result, timeout=5)).return_value["outcome"] == "improved"
    assert job.meta["progress"]["iterations_max"] == 2
    [promoted] = [event for event in said if isinstance(event, PromptPromoted)]
    assert promoted.version == completed.prompt_version
    store = FileStore(tmp_path / "data" / "registry")
    digest = await log.pointer(LOOP, "prompt")
    assert digest is not None
    assert manifest_of(store, digest).version == promoted.version
    content = content_of(store, digest)
    assert content is not None
    assert MAGIC in content.text.lower()
    assert MAGIC in str(content.blocks).lower()

    # The next run starts from the promoted prompt, which already answers everything.
    await request(log, "run-2")
    [again] = await until(log, "run-2", EvolutionCompleted)
    assert again.outcome == "no_headroom"
    assert await log.pointer(LOOP, "prompt") == digest


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"num_samples": "many"}, "num_samples"),
        ({"surprise": 1}, "surprise"),
        ({"provider": "anthropic", "model_name": "claude-2"}, "claude-2"),
    ],
)
async def test_a_request_that_cannot_be_fulfilled_ends_as_failed_with_the_reason(
    log: Log, running: EvolverProcess, settings: dict[str, Any], word: str
) -> None:
    await request(log, "bad", **settings)
    [completed] = await until(log, "bad", EvolutionCompleted)
    assert completed.outcome == "failed"
    assert word in completed.reason


async def test_a_killed_worker_is_followed_within_ten_seconds_and_nothing_is_paid_twice(
    log: Log, running: EvolverProcess, model: Model
) -> None:
    await request(log, "unbroken", promote=False)
    [unbroken] = await until(log, "unbroken", EvolutionCompleted)
    unbroken_count = len(model.asked)
    assert unbroken.outcome == "improved"

    model.delay_s = 0.05  # so that there is a middle to be killed in
    await request(log, "broken", promote=False)
    await asyncio.to_thread(model.wait_for_requests, unbroken_count + 60)
    assert await asyncio.to_thread(running.kill_workers) >= 2  # the worker and its horse
    killed_at, killed_count = time.monotonic(), len(model.asked)
    await asyncio.to_thread(model.wait_for_requests, killed_count + 10)
    assert time.monotonic() - killed_at < 10
    [broken] = await until(log, "broken", EvolutionCompleted)

    assert told(broken) == told(unbroken)
    asked = model.asked[unbroken_count:]
    # Up to eight calls are in flight at once; each life finds out by one refused call that the server gives no logprobs.
    assert len(asked) - unbroken_count <= 8 + 1
    assert set(asked) == set(model.asked[:unbroken_count])
    iterations = [event.iteration for event in await events(log, "broken") if isinstance(event, EvolutionProgressed)]
    assert iterations == [0, 1, 2]
    assert "meta_learning_evolver_reaped_total 1.0" in await asyncio.to_thread(running.metrics)


async def test_sigterm_ends_everything_within_eight_seconds_and_the_next_process_goes_on(
    log: Log, running: EvolverProcess, model: Model, broker_url: str, model_url: str, tmp_path: Path
) -> None:
    model.delay_s = 0.05
    await request(log, "run-1")
    await asyncio.to_thread(model.wait_for_requests, 40)
    family = running.family()
    started = time.monotonic()
    await asyncio.to_thread(running.stop)
    assert time.monotonic() - started < 8
    assert gone(family, 0.0)
    assert not [event for event in await events(log, "run-1") if isinstance(event, EvolutionCompleted)]
    answered = len(set(model.asked))
    with evolver(broker_url, model_url, tmp_path / "data") as successor:
        [completed] = await until(log, "run-1", EvolutionCompleted)
        assert completed.outcome == "improved"
        assert "meta_learning_evolver_reaped_total 0.0" in await asyncio.to_thread(successor.metrics)
    assert answered > 30
    assert len(model.asked) - len(set(model.asked)) <= 8 + 1


async def test_a_running_run_can_be_cancelled_and_asked_for_again(
    log: Log, running: EvolverProcess, model: Model
) -> None:
    model.delay_s = 0.1
    await request(log, "run-1")
    await asyncio.to_thread(model.wait_for_requests, 30)
    cancel = EvolutionCancelRequested(event_id="cancel", occurred_at=datetime.now(UTC), loop=LOOP, run_id="run-1")
    await log.publish(LOOP, [cancel])
    [completed] = await until(log, "run-1", EvolutionCompleted, timeout_s=10)
    assert completed.outcome == "cancelled"
    asked_count, model.delay_s = len(model.asked), 0.0

    await request(log, "run-1", event_id="again")
    _, resumed = await until(log, "run-1", EvolutionCompleted, count=2)
    assert resumed.outcome == "improved"
    assert resumed.calls_count > len(model.asked) - asked_count  # the first life's calls were not made again


async def test_a_silent_model_is_waited_for_and_no_answer_counts_as_wrong(
    log: Log, broker_url: str, model: Model, model_url: str, tmp_path: Path
) -> None:
    with evolver(broker_url, model_url, tmp_path / "data", META_LEARNING_LLM_OUTAGE_WAIT_S="1"):
        await _silence_the_model_in_the_middle(log, model)


async def _silence_the_model_in_the_middle(log: Log, model: Model) -> None:
    await request(log, "unbroken", promote=False)
    [unbroken] = await until(log, "unbroken", EvolutionCompleted)
    before, model.delay_s = len(model.asked), 0.02
    await request(log, "silenced", promote=False)
    await asyncio.to_thread(model.wait_for_requests, before + 50)
    model.down = True
    [waits] = await until(log, "silenced", EvolutionProgressed, word="goes on in")
    assert waits.calls_count > 0
    model.down = False
    [completed] = await until(log, "silenced", EvolutionCompleted)
    assert told(completed) == told(unbroken)


async def test_a_worker_killed_alone_takes_its_horse_along_and_the_run_goes_on(
    log: Log, running: EvolverProcess, model: Model
) -> None:
    model.delay_s = 0.05
    await request(log, "run-1")
    await asyncio.to_thread(model.wait_for_requests, 40)
    [worker] = [pid for pid, parent in running.workers().items() if parent == running.process.pid]
    os.kill(worker, signal.SIGKILL)
    [completed] = await until(log, "run-1", EvolutionCompleted)
    assert completed.outcome == "improved"
    assert len(model.asked) - len(set(model.asked)) <= 8 + 1


async def test_nothing_outlives_a_killed_evolver_and_its_successor_goes_on(
    log: Log, running: EvolverProcess, model: Model, broker_url: str, model_url: str, tmp_path: Path
) -> None:
    model.delay_s = 0.05
    await request(log, "run-1")
    await asyncio.to_thread(model.wait_for_requests, 40)
    family = running.family()
    running.process.kill()
    running.process.wait()
    assert await asyncio.to_thread(gone, family, 8.0)
    with evolver(broker_url, model_url, tmp_path / "data"):
        [completed] = await until(log, "run-1", EvolutionCompleted)
    assert completed.outcome == "improved"
    assert len(model.asked) - len(set(model.asked)) <= 8 + 1


async def test_a_broker_that_was_away_is_picked_up_again_by_itself(
    tmp_path: Path, model: Model, model_url: str
) -> None:
    with running_broker(tmp_path / "broker") as broker:
        log = open_log(broker.url)
        await log.start()
        await log.append([feedback(number, *pair) for number, pair in enumerate(model.answers.items())])
        with evolver(broker.url, model_url, tmp_path / "data") as process:
            model.delay_s = 0.05
            await request(log, "before")
            await asyncio.to_thread(model.wait_for_requests, 40)
            assert broker.process is not None
            broker.process.kill()
            broker.process.wait()
            assert await asyncio.to_thread(process.becomes, 503)
            await asyncio.to_thread(broker.start)
            assert await asyncio.to_thread(process.becomes, 200)
            [completed] = await until(log, "before", EvolutionCompleted)
            assert completed.outcome == "improved"
            await request(log, "after", promote=False)
            assert [one.outcome for one in await until(log, "after", EvolutionCompleted)] == ["no_headroom"]
        await log.close()


def test_the_workers_run_cells_of_studies_between_evolutions(
    running: EvolverProcess, broker_url: str, tmp_path: Path
) -> None:
    config = StudyConfig.read({**CELLS, "seeds": [0, 1]})
    workers = studies.QueueWorkers(studies.connect(broker_url), look_every_s=0.1)
    found = {cell.id: result for cell, result in workers.run(config.cells(), tmp_path)}
    assert found == {cell.id: result for cell, result in OneProcess().run(config.cells(), tmp_path)}
    assert (STUDIES, MONITORING_S) == (studies.QUEUE, studies.HEARTBEAT_S)  # written down twice, to be imported once


async def test_the_doors_tell_whether_the_evolver_can_work(running: EvolverProcess) -> None:
    ready = await asyncio.to_thread(running.readiness)
    assert ready == {"work": "ok", "log": "ok", "queue": "ok", "workers": "ok"}
    page = await asyncio.to_thread(running.metrics)
    assert re.search(r"^meta_learning_evolver_workers 1\.0$", page, re.M)
    names = set(re.findall(r"^# TYPE (\S+)", page, re.M))
    assert all(name.startswith("meta_learning_evolver_") for name in names)
