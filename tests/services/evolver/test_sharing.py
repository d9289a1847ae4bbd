"""One run's questions, asked by several: every one is asked once, within the caps, whoever dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import TimeoutError as TimeoutFromBroker
from rq.job import Job, JobStatus

from meta_learning.acla import AdaptiveCurriculumAgent, MemoryRunStore
from meta_learning.acla.asking import Asking
from meta_learning.acla.store import RunLog
from meta_learning.errors import BudgetExhausted, CallerError, LLMUnavailable
from meta_learning.llm import Capabilities, Message, Reply, Request
from meta_learning.llm.ledger import Caps, Ledger
from meta_learning.llm.metered import metered
from meta_learning.llm.retry import Retrying, RetryPolicy
from meta_learning.llm.scripted import ScriptedLLM
from meta_learning.serving.ending import end
from services.evolver.asker import Asker
from services.evolver.crew import Crew
from services.evolver.desk import Desk, Question, answered, helper_name
from services.evolver.helping import HelpQueue
from services.evolver.queueing import lease_key
from services.evolver.settings import EvolverSettings
from services.evolver.sharing import SharedLLM
from tests.core.acla.simulated import config, model, samples, with_examples

TTL_S = 0.8
SMALL: dict[str, Any] = {"max_iterations": 4, "children_count": 1, "gate_samples": 20}


class Slow(ScriptedLLM):
    """Takes its time; two questions at once. It hangs once it is stuck, or after ``hangs_after`` questions."""

    def __init__(self, delay_s: float = 0.002, hangs_after: int = 1_000_000) -> None:
        self._inner = model(with_examples)
        super().__init__(self._inner.answer, capabilities=Capabilities(temperature=True, concurrency_max=2))
        self.delay_s = delay_s
        self.stuck, self.hangs_after, self.hung_count = asyncio.Event(), hangs_after, 0

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.stuck.is_set() or len(self.requests) > self.hangs_after:
            self.hung_count += 1
            await asyncio.Event().wait()
        await asyncio.sleep(self.delay_s)
        return await self._inner.complete(request)


@pytest.fixture
async def connection(broker_url: str) -> AsyncIterator[Any]:
    connection = redis.asyncio.Redis.from_url(broker_url)
    await connection.set(lease_key("support", "r"), "token")
    yield connection
    await connection.aclose()


@pytest.fixture
def desk(connection: Any) -> Desk:
    return Desk(connection, "support", "r")


def hello(number: int) -> Request:
    return Request((Message("user", f"number 0-{number} of many"),))


@pytest.fixture
def help_queue(broker_url: str) -> Iterator[HelpQueue]:
    queue = HelpQueue(EvolverSettings(redis_url=broker_url), "support", "r", "token", {})
    yield queue
    queue.close()


def waiting(help_queue: HelpQueue) -> list[str]:
    """The jobs of helpers that no worker has taken."""
    return list(help_queue.queue.get_job_ids())


async def hired(desk: Desk, help_queue: HelpQueue) -> tuple[Crew, str, Job]:
    """A crew with one helper expected, its name and its job."""
    crew = Crew(desk, "token", help_queue)
    await crew.hire()
    [who] = await desk.helpers("token")
    job = help_queue.queue.fetch_job(waiting(help_queue)[0])
    assert job is not None
    return crew, who, job


def question_of(number: int, ticket: str = "ticket") -> Question:
    return Question(hello(number).digest("scripted", "scripted"), "token", hello(number), ticket)


async def nobody() -> None:
    """Nobody is free."""


async def run(llm: Any, **changes: Any) -> dict[str, Any]:
    retry = Retrying(RetryPolicy(attempts_max=3))
    agent = AdaptiveCurriculumAgent(config(**(SMALL | changes)), llm, store=MemoryRunStore(), run_id="r", retry=retry)
    return await agent.run_curriculum(samples, num_samples=12)


def asked(*models: ScriptedLLM) -> Counter[str]:
    return Counter(request.digest("scripted", "scripted") for llm in models for request in llm.requests)


async def test_a_run_asked_by_three_is_the_run_asked_by_one(desk: Desk) -> None:
    alone = Slow(0.0)
    wanted = await run(alone)
    models = [Slow(), Slow(), Slow()]
    helpers = [
        asyncio.create_task(Asker(desk, llm, f"h{n}", TTL_S).run(lambda: False)) for n, llm in enumerate(models[1:])
    ]
    async with SharedLLM(models[0], desk, "token", 3, TTL_S, nobody) as shared:
        results = await run(shared)
    await end(*helpers)
    assert results == wanted
    assert asked(*models) == asked(alone)
    assert all(len(llm.requests) > 10 for llm in models)


async def test_a_helper_that_dies_in_the_middle_costs_its_calls_in_flight_and_never_more_than_the_cap(
    desk: Desk, help_queue: HelpQueue
) -> None:
    crew = Crew(desk, "token", help_queue)
    await crew.hire()
    [who] = await desk.helpers("token")
    assert await desk.arrive(who, TTL_S)
    owner, helper = Slow(0.01), Slow(0.01)
    asker = asyncio.create_task(Asker(desk, helper, who, TTL_S).run(lambda: False))
    async with SharedLLM(owner, desk, "token", 2, TTL_S, crew.replace_gone) as shared:
        running = asyncio.create_task(run(shared, calls_max=90))
        while len(helper.requests) < 3:
            assert not running.done()
            await asyncio.sleep(0.005)
        helper.stuck.set()  # two calls that never come back, and then a process that is gone
        while helper.hung_count < 2 and not running.done():
            await asyncio.sleep(0.005)
        await end(asker)
        results = await running
    made, distinct = asked(owner, helper).total(), len(asked(owner, helper))
    assert made - distinct == 2
    assert len(waiting(help_queue)) == 2  # another for the process, not for each of its calls
    assert list(await desk.helpers("token")) != [who]
    assert results["spent"]["purposes"]["task"]["failed"] == 2
    assert results["spent"]["calls"] == made <= 90


async def test_a_successor_finds_what_was_said_after_its_owner_was_killed(desk: Desk, connection: Any) -> None:
    helper = Slow(hangs_after=2)
    asker = asyncio.create_task(Asker(desk, helper, "h", TTL_S).run(lambda: False))
    silent = Slow()
    silent.stuck.set()
    async with SharedLLM(silent, desk, "token", 2, TTL_S, nobody) as first:
        lost = [asyncio.create_task(first.complete(hello(n))) for n in range(8)]
        while helper.hung_count + silent.hung_count < 4:
            await asyncio.sleep(0.005)
        await end(*lost)
    await end(asker)
    # Two were answered, two each were on their way from the owner and the helper, two only waited: those are not asked any more,
    # since the reservations behind them died with the owner.
    await connection.set(lease_key("support", "r"), "successor")
    second = Slow()
    async with SharedLLM(second, desk, "successor", 1, TTL_S, nobody) as shared:
        replies = await asyncio.gather(*(shared.complete(hello(n)) for n in range(8)), return_exceptions=True)
    assert sum(isinstance(reply, Reply) for reply in replies) == 4
    assert sum(isinstance(reply, LLMUnavailable) for reply in replies) == 4
    assert len(second.requests) == 2


async def test_a_question_that_lies_on_the_desk_when_a_run_is_stopped_is_counted_there_and_not_in_the_log_besides(
    desk: Desk,
) -> None:
    silent, store = Slow(), MemoryRunStore()
    silent.stuck.set()
    log = RunLog(store, "r", "scripted")
    async with SharedLLM(silent, desk, "token", 2, TTL_S, nobody) as shared:
        asking = Asking(metered(shared, Ledger(Caps()), log), log, None, lambda: False)
        task = asyncio.create_task(asking.ask_all([hello(n) for n in range(6)]))
        while not silent.hung_count:
            await asyncio.sleep(0.005)
        await end(task)
    assert [event for event in store.read("r") if event["kind"] == "failed"] == []


async def test_what_must_be_ready_in_time_is_planned_without_the_helpers_that_may_not_come(desk: Desk) -> None:
    can = SharedLLM(Slow(), desk, "token", 4, TTL_S, nobody).capabilities
    assert (can.concurrency_max, can.extras["concurrency_sure"]) == (8, "2")


async def test_a_cap_holds_however_many_ask(desk: Desk) -> None:
    models = [Slow(), Slow(), Slow()]
    helpers = [asyncio.create_task(Asker(desk, one, f"h{n}", TTL_S).run(lambda: False)) for n, one in enumerate(models)]
    owner = Slow(0.0)
    async with SharedLLM(owner, desk, "token", 4, TTL_S, nobody) as shared:
        ledger = Ledger(Caps(calls=10))
        capped = metered(shared, ledger)
        replies = await asyncio.gather(*(capped.complete(hello(n)) for n in range(30)), return_exceptions=True)
    await end(*helpers)
    assert sum(isinstance(reply, BudgetExhausted) for reply in replies) == 20
    assert asked(owner, *models).total() == ledger.spent.calls == 10


async def test_an_answer_that_comes_after_its_asker_was_thought_dead_is_not_paid_for_again(desk: Desk) -> None:
    frozen, owner = Slow(0.0), Slow(0.0)
    frozen.stuck.set()
    asker = asyncio.create_task(Asker(desk, frozen, "h", TTL_S).run(lambda: False))
    while not await desk.is_here("h"):
        await asyncio.sleep(0.005)
    question = question_of(1)
    await desk.put(question)
    while not frozen.requests:
        await asyncio.sleep(0.005)
    assert (await desk.known([question.digest]))[question.digest] == "?h"
    await end(asker)
    assert await desk.withdraw(question.digest, "?h")
    assert await desk.say("h", question.digest, answered(Reply("high", "scripted")))  # it wakes up
    async with SharedLLM(owner, desk, "token", 1, TTL_S, nobody) as shared:
        assert (await shared.complete(hello(1))).text == "high"
    assert owner.requests == []


async def test_a_refusal_reaches_the_run_as_what_it_was(desk: Desk) -> None:
    def answer(request: Request) -> Any:
        return CallerError("not that") if "0-1" in request.messages[0].text else RuntimeError("surprise")

    async with SharedLLM(ScriptedLLM(answer), desk, "token", 1, TTL_S, nobody) as shared:
        with pytest.raises(CallerError, match="not that"):
            await shared.complete(hello(1))
        with pytest.raises(RuntimeError, match="surprise"):
            await shared.complete(hello(2))


async def test_nobody_asks_for_a_run_that_another_owns_now(desk: Desk, connection: Any) -> None:
    llm = Slow()
    async with SharedLLM(llm, desk, "token", 1, TTL_S, nobody) as shared:
        await connection.set(lease_key("support", "r"), "another")
        task = asyncio.create_task(shared.complete(hello(1)))
        await asyncio.wait({task}, timeout=0.3)
        assert not task.done()
        assert llm.requests == []
        await end(task)


async def test_a_claim_whose_answer_was_lost_on_the_way_still_leads_to_an_answer(desk: Desk) -> None:
    claim, lost = desk.claim, list[str]()

    async def claim_of_a_stalled_broker(who: str, question: Question) -> bool:
        mine = await claim(who, question)
        if not lost:
            lost.append(question.digest)
            raise TimeoutFromBroker("the broker took it, and then said nothing")
        return mine

    desk.claim = claim_of_a_stalled_broker  # type: ignore[method-assign]
    owner = Slow()
    async with SharedLLM(owner, desk, "token", 1, TTL_S, nobody) as shared, asyncio.timeout(10.0):
        await shared.complete(hello(1))
    assert lost
    assert len(owner.requests) == 1


async def test_a_question_that_lies_open_twice_is_asked_once_for_each_call_that_was_reserved(desk: Desk) -> None:
    question = question_of(1)
    await desk.put(question)
    assert await desk.put_again(question)  # the sweep thought that it was lost
    await desk.note_here("first", TTL_S)
    await desk.note_here("second", TTL_S)
    one, other = await desk.take(1.0), await desk.take(1.0)
    assert one == other == question
    assert await desk.claim("first", question)
    # It failed, and the run waits before it reserves another call.
    assert await desk.withdraw(question.digest, "?first")
    assert not await desk.claim("second", question)
    again = question_of(1, "another reservation")
    assert await desk.put(again) is None
    assert not await desk.claim("second", question)
    assert await desk.claim("second", again)


async def test_a_question_that_the_broker_has_lost_comes_back_as_failed_and_is_asked_again(
    desk: Desk, connection: Any
) -> None:
    stuck = Slow()
    stuck.stuck.set()
    async with SharedLLM(stuck, desk, "token", 1, TTL_S, nobody) as shared:
        task = asyncio.create_task(shared.complete(hello(1)))
        while not stuck.requests:
            await asyncio.sleep(0.005)
        await desk.clear()
        with pytest.raises(LLMUnavailable, match="lost the question"):
            await task


async def test_a_helper_that_is_killed_or_called_away_is_replaced_one_for_one(
    desk: Desk, help_queue: HelpQueue
) -> None:
    crew = Crew(desk, "token", help_queue)
    for _ in range(2):
        await crew.hire()
    await desk.expect(helper_name("earlier", "life"))
    idle, waits = await desk.helpers("token")
    assert await desk.arrive(idle, 0.05)
    await asyncio.sleep(0.1)
    for _ in range(2):  # neither those that wait for a worker nor the earlier life's are missing
        await crew.replace_gone()
        assert len(waiting(help_queue)) == 3
    assert idle not in await desk.helpers("token")
    assert waits in await desk.helpers("token")


async def test_a_helper_that_was_killed_before_it_came_is_replaced_and_not_let_in_any_more(
    desk: Desk, help_queue: HelpQueue
) -> None:
    crew, who, job = await hired(desk, help_queue)
    for status, started_s_ago, is_replaced in (("started", 1.0, False), ("started", 60.0, True)):
        job.started_at = datetime.now(UTC) - timedelta(seconds=started_s_ago)
        job.save()
        job.set_status(JobStatus(status))
        await crew.replace_gone()
        assert (list(await desk.helpers("token")) != [who]) is is_replaced
    assert not await desk.arrive(who, TTL_S)
    assert await desk.helpers("token") != {}


async def test_a_helper_whose_job_is_over_is_replaced_at_once_though_it_said_that_it_is_here(
    desk: Desk, help_queue: HelpQueue
) -> None:
    crew, who, job = await hired(desk, help_queue)
    assert await desk.arrive(who, 60.0)  # it was to load its model
    job.set_status(JobStatus.FAILED)
    await crew.replace_gone()
    assert who not in await desk.helpers("token")
    assert not await desk.is_here(who)


async def test_a_helper_that_comes_while_it_is_given_up_stays_and_no_other_is_asked_for(
    desk: Desk, help_queue: HelpQueue
) -> None:
    crew, who, job = await hired(desk, help_queue)
    dismiss = desk.dismiss
    job.started_at = datetime.now(UTC) - timedelta(seconds=60.0)
    job.save()
    job.set_status(JobStatus.STARTED)

    async def dismiss_just_after_it_came(*given: Any, **more: Any) -> bool:
        assert await desk.arrive(who, TTL_S)
        return await dismiss(*given, **more)

    desk.dismiss = dismiss_just_after_it_came  # type: ignore[method-assign]
    await crew.replace_gone()
    assert await desk.helpers("token") == {who: True}
    assert await desk.is_here(who)  # else what it asks would be thought nobody's, and be paid for twice
    assert len(waiting(help_queue)) == 1


async def test_a_helper_is_replaced_although_the_broker_never_said_that_it_was_dismissed(
    desk: Desk, help_queue: HelpQueue
) -> None:
    crew, who, job = await hired(desk, help_queue)
    dismiss = desk.dismiss
    job.set_status(JobStatus.FAILED)

    async def dismiss_of_a_stalled_broker(*given: Any, **more: Any) -> bool:
        await dismiss(*given, **more)
        raise TimeoutFromBroker("the broker did it, and then said nothing")

    desk.dismiss = dismiss_of_a_stalled_broker  # type: ignore[method-assign]
    with pytest.raises(TimeoutFromBroker):
        await crew.replace_gone()
    desk.dismiss = dismiss  # type: ignore[method-assign]
    await crew.replace_gone()
    [successor] = await desk.helpers("token")
    assert successor != who
    assert help_queue.state(successor) == "waiting"
    assert await desk.arrive(successor, TTL_S)
    assert not await desk.arrive(who, TTL_S)


async def test_replacing_does_not_hold_up_the_run_however_slow_the_broker_is(desk: Desk) -> None:
    asked = asyncio.Event()

    async def replace_gone() -> None:
        asked.set()
        await asyncio.Event().wait()

    async with SharedLLM(Slow(0.0), desk, "token", 2, TTL_S, replace_gone) as shared, asyncio.timeout(10.0):
        await asked.wait()
        assert (await shared.complete(hello(1))).text
