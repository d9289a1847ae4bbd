from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rq.executions import Execution
from rq.job import JobStatus

from meta_learning.events import Event, EvolutionCancelRequested, EvolutionCompleted, EvolutionRequested, decode
from meta_learning.streams import Log, partition_of
from meta_learning.streams.opening import open_log
from services.evolver.metrics import Metrics
from services.evolver.queueing import cancel_key, connect, job_id_of, lease_key, open_queue, run_key
from services.evolver.reaper import SAID, Reaper
from services.evolver.relay import GROUP, RequestRelay
from services.evolver.settings import EvolverSettings
from tests.services.evolver.process import EvolverProcess

LOOP = "support"


def requested(event_id: str = "e1", run_id: str = "run-1") -> EvolutionRequested:
    return EvolutionRequested(event_id=event_id, occurred_at=datetime.now(UTC), loop=LOOP, run_id=run_id)


def cancel_requested(run_id: str = "run-1") -> EvolutionCancelRequested:
    return EvolutionCancelRequested(
        event_id=f"cancel-{run_id}", occurred_at=datetime.now(UTC), loop=LOOP, run_id=run_id
    )


async def said(log: Log, kind: type[Event]) -> list[Any]:
    entries = await log.entries(partition_of(LOOP, log.partitions_count), "events")
    events = [decode(entry.body) for entry in entries if entry.type == kind.__name__]
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def queue(broker_url: str) -> Iterator[Any]:
    connection = connect(broker_url)
    yield open_queue(connection)
    connection.close()


@pytest.fixture
async def log(broker_url: str) -> AsyncIterator[Log]:
    log = open_log(broker_url)
    await log.start()
    yield log
    await log.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def settings(broker_url: str) -> EvolverSettings:
    return EvolverSettings(redis_url=broker_url)


@pytest.fixture
def relay(log: Log, queue: Any, settings: EvolverSettings, metrics: Metrics) -> RequestRelay:
    return RequestRelay(log, queue, settings, metrics)


@pytest.fixture
def reaper(log: Log, queue: Any, metrics: Metrics) -> Reaper:
    return Reaper(log, queue, lease_ttl_s=1.0, metrics=metrics)


def killed(queue: Any, job_id: str, age_s: float) -> None:
    """Leave what a worker leaves that was killed ``age_s`` seconds after it took the job."""
    job = queue.fetch_job(job_id)
    queue.connection.lrem(queue.key, 0, job_id)
    with queue.connection.pipeline() as pipeline:
        execution = Execution.create(job, ttl=120, pipeline=pipeline, worker_name="dead")
        execution.created_at = datetime.fromtimestamp(time.time() - age_s, UTC)
        execution.save(ttl=120, pipeline=pipeline)
        job.prepare_for_execution("dead", pipeline)
        pipeline.execute()


async def test_a_request_becomes_one_job_however_often_it_is_delivered(
    log: Log, queue: Any, relay: RequestRelay
) -> None:
    await log.publish(LOOP, [requested()])
    for consumer in ("first", "second"):  # the first dies before it acknowledges
        taken = await log.relay(GROUP, consumer, idle_ms_min=0).take(wait_ms_max=100)
        for _, entry in taken:
            await relay._act(entry)
        assert len(taken) == 1
    assert queue.get_job_ids() == [job_id_of("e1")]
    job = queue.fetch_job(job_id_of("e1"))
    assert (
        job.args[0]
        == requested().model_copy(update={"occurred_at": decode(job.args[0].encode()).occurred_at}).encode().decode()
    )
    assert job.timeout > 0
    assert job.retries_left == 3


async def test_acknowledged_requests_do_not_come_again(log: Log, relay: RequestRelay) -> None:
    await log.publish(LOOP, [requested()])
    stream = log.relay(GROUP, "c", idle_ms_min=0)
    assert await relay.relay_once(stream, wait_ms_max=100) == 1
    assert await relay.relay_once(log.relay(GROUP, "c", idle_ms_min=0), wait_ms_max=50) == 0


async def test_the_job_is_stored_as_json_and_never_as_a_pickle(log: Log, queue: Any, relay: RequestRelay) -> None:
    await log.publish(LOOP, [requested()])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    import json
    import zlib

    data = zlib.decompress(queue.connection.hget(f"rq:job:{job_id_of('e1')}", "data"))
    assert json.loads(data)[0] == "services.evolver.jobs.evolve"


async def test_a_queued_run_is_cancelled_at_once_and_says_so_once(log: Log, queue: Any, relay: RequestRelay) -> None:
    await log.publish(LOOP, [requested(), cancel_requested()])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    for _, entry in await log.relay("again", "c").take(wait_ms_max=100):
        await relay._act(entry)
    assert queue.count == 0
    assert [event.outcome for event in await said(log, EvolutionCompleted)] == ["cancelled"]


async def test_a_running_run_is_flagged_and_left_to_end_by_itself(log: Log, queue: Any, relay: RequestRelay) -> None:
    await log.publish(LOOP, [requested()])
    stream = log.relay(GROUP, "c")
    await relay.relay_once(stream, wait_ms_max=100)
    killed(queue, job_id_of("e1"), age_s=0)
    await log.publish(LOOP, [cancel_requested()])
    await relay.relay_once(stream, wait_ms_max=100)
    assert queue.connection.exists(cancel_key(job_id_of("e1")))
    assert await said(log, EvolutionCompleted) == []


async def test_an_unreadable_entry_does_not_stop_the_relay(log: Log, queue: Any, relay: RequestRelay) -> None:
    from tests.brokers import write_raw

    await write_raw(log, partition_of(LOOP, log.partitions_count), "events", b"{not json")
    await log.publish(LOOP, [requested()])
    assert await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100) == 2
    assert queue.count == 1


async def test_a_job_without_a_lease_goes_back_to_the_queue_at_once(
    log: Log, queue: Any, relay: RequestRelay, reaper: Reaper
) -> None:
    await log.publish(LOOP, [requested()])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    killed(queue, job_id_of("e1"), age_s=2)
    assert reaper.revive() == 1
    assert queue.get_job_ids() == [job_id_of("e1")]
    assert queue.fetch_job(job_id_of("e1")).retries_left == 2
    assert reaper.revive() == 0


@pytest.mark.parametrize(("leased", "age_s"), [(True, 100), (False, 0)])
async def test_a_job_that_lives_or_has_just_begun_is_left_alone(
    log: Log, queue: Any, relay: RequestRelay, reaper: Reaper, leased: bool, age_s: float
) -> None:
    await log.publish(LOOP, [requested()])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    killed(queue, job_id_of("e1"), age_s=age_s)
    if leased:
        queue.connection.set(lease_key(LOOP, "run-1"), "somebody")
    assert reaper.revive() == 0
    assert queue.fetch_job(job_id_of("e1")).get_status() == JobStatus.STARTED


async def test_a_job_that_always_kills_its_process_ends_as_failed_and_says_so_once(
    log: Log, queue: Any, relay: RequestRelay, reaper: Reaper
) -> None:
    await log.publish(LOOP, [requested()])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    for _ in range(4):
        killed(queue, job_id_of("e1"), age_s=2)
        reaper.revive()
    assert queue.fetch_job(job_id_of("e1")).get_status() == JobStatus.FAILED
    await reaper.report_lost()
    await reaper.report_lost()
    [completed] = await said(log, EvolutionCompleted)
    assert completed.outcome == "failed"
    assert "retried" in completed.reason


async def test_a_job_whose_waiting_time_is_over_is_queued_again(
    log: Log, queue: Any, relay: RequestRelay, reaper: Reaper
) -> None:
    await log.publish(LOOP, [requested()])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    job = queue.fetch_job(job_id_of("e1"))
    queue.connection.lrem(queue.key, 0, job.id)
    job.set_status(JobStatus.SCHEDULED)
    queue.schedule_job(job, datetime.fromtimestamp(time.time() - 1, UTC))
    assert queue.count == 0
    reaper.enqueue_due()
    assert queue.get_job_ids() == [job.id]


async def test_the_metrics_show_the_queue_and_what_jobs_counted(log: Log, queue: Any, relay: RequestRelay) -> None:
    await log.publish(LOOP, [requested()])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    queue.connection.hset(
        "meta_learning:evolver:counters", mapping={"runs|improved": 2, "calls|local|task": 7, "odd": 1}
    )
    registry = CollectorRegistry()
    Metrics(registry).look(queue)
    page = generate_latest(registry).decode()
    assert 'meta_learning_evolver_jobs{status="queued"} 1.0' in page
    assert 'meta_learning_evolver_runs_total{outcome="improved"} 2.0' in page
    assert 'meta_learning_evolver_llm_calls_total{provider="local",purpose="task"} 7.0' in page
    assert "odd" not in page


async def test_a_failed_job_is_said_again_where_its_end_was_said_under_another_layout(
    log: Log, queue: Any, relay: RequestRelay, reaper: Reaper
) -> None:
    await log.publish(LOOP, [requested()])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    for _ in range(4):
        killed(queue, job_id_of("e1"), age_s=2)
        reaper.revive()
    job = queue.fetch_job(job_id_of("e1"))
    job.meta[SAID] = log.partitions_count + 1
    job.save_meta()
    await reaper.report_lost()
    [completed] = await said(log, EvolutionCompleted)
    assert (completed.outcome, "ask again" in completed.reason) == ("failed", True)


@pytest.mark.parametrize("how", ["failed", "gone", "queue emptied"])
async def test_a_cancel_request_ends_a_run_that_has_no_job_and_says_so_once(
    log: Log, queue: Any, relay: RequestRelay, reaper: Reaper, how: str
) -> None:
    await log.publish(LOOP, [requested()])
    stream = log.relay(GROUP, "c")
    await relay.relay_once(stream, wait_ms_max=100)
    job = queue.fetch_job(job_id_of("e1"))
    queue.connection.lrem(queue.key, 0, job.id)
    if how == "failed":
        job.set_status(JobStatus.FAILED)
    else:
        job.delete()
    if how == "queue emptied":
        queue.connection.delete(run_key(LOOP, "run-1"))
    await log.publish(LOOP, [cancel_requested()])
    await relay.relay_once(stream, wait_ms_max=100)
    await relay._cancel(cancel_requested())
    await reaper.report_jobless(older_than_s=0)
    [completed] = await said(log, EvolutionCompleted)
    assert (completed.outcome, completed.run_id, "ask again" in completed.reason) == ("cancelled", "run-1", True)


async def test_a_cancel_request_for_a_run_that_ended_changes_nothing(log: Log, queue: Any, relay: RequestRelay) -> None:
    end = EvolutionCompleted(
        event_id="end", occurred_at=datetime.now(UTC), loop=LOOP, run_id="run-1", outcome="improved"
    )
    await log.publish(LOOP, [requested(), end])
    assert await relay._cancel(cancel_requested()) == "nothing_to_cancel"
    assert [one.outcome for one in await said(log, EvolutionCompleted)] == ["improved"]


async def test_a_run_whose_job_is_gone_ends_as_failed_and_a_queued_or_young_one_is_left_alone(
    log: Log, queue: Any, relay: RequestRelay, reaper: Reaper
) -> None:
    await log.publish(LOOP, [requested("e1", "lost"), requested("e2", "waits")])
    await relay.relay_once(log.relay(GROUP, "c"), wait_ms_max=100)
    queue.fetch_job(job_id_of("e1")).delete()
    await reaper.report_jobless()
    assert await said(log, EvolutionCompleted) == []
    for _ in range(2):
        await reaper.report_jobless(older_than_s=0)
    assert [(one.run_id, one.outcome) for one in await said(log, EvolutionCompleted)] == [("lost", "failed")]


async def test_the_evolver_refuses_to_start_on_a_log_of_another_layout_with_one_line_and_status_2(
    log: Log, broker_url: str, tmp_path: Path
) -> None:
    wrong = str(log.partitions_count + 1)
    refusing = EvolverProcess(broker_url, "http://127.0.0.1:9", tmp_path, META_LEARNING_PARTITIONS_COUNT=wrong)
    assert await asyncio.to_thread(refusing.process.wait, 60) == 2
    [line] = refusing.log.read_text().splitlines()
    assert line.startswith(f"configuration: partitions_count is {wrong}")
