"""The control API over real HTTP: what is known, what an operator asks for, and who may ask."""

from __future__ import annotations

import asyncio

import pytest

from meta_learning.events import EvolutionCancelRequested, EvolutionRequested, PromoteModel, PromptPromoted, decode
from meta_learning.streams import Log
from meta_learning.streams.memory import MemoryLog
from tests.brokers import write_raw
from tests.services.monitor.serving import Served, serving
from tests.services.monitor.world import last_entries, some_feedback, train

PROBLEM = "application/problem+json"


async def trained(log: Log, count: int = 300) -> None:
    await log.append(some_feedback(count, loops=("support",)))
    await train(log)


async def last_event(served: Served, stream: str = "events") -> object:
    return decode((await last_entries(served.log, 0, stream))[-1].body)  # type: ignore[arg-type]


async def test_a_loop_is_listed_and_shown_in_full(memory_log: MemoryLog) -> None:
    await trained(memory_log)
    async with serving(memory_log) as served:
        await served.level()
        listed = (await served.get("/api/loops")).json()["loops"]
        assert [(loop["loop"], loop["monitored"], loop["cycles"]) for loop in listed] == [("support", 300, 15)]
        shown = (await served.get("/api/loops/support")).json()
        assert len(shown["cycles"]) == 15
        assert shown["counts"]["monitored"] == 300 == shown["counts"]["trained"] + shown["counts"]["capped"]
        assert {"drift", "alignment", "coherence"} <= set(shown["scores"])
        versions = (await served.get("/api/loops/support/versions")).json()
        champion = [version for version in versions["versions"] if version["is_champion"]]
        assert [version["version"] for version in champion] == [versions["champion"]]


async def test_an_unknown_loop_is_a_404_and_a_bad_name_a_422(memory_log: MemoryLog) -> None:
    async with serving(memory_log) as served:
        unknown = await served.get("/api/loops/nobody")
        assert (unknown.status_code, unknown.headers["content-type"]) == (404, PROBLEM)
        bad = await served.get("/api/loops/No%20Slug")
        assert (bad.status_code, bad.json()["field"]) == (422, "loop")


async def test_a_rollback_is_a_command_on_the_loops_stream_that_the_trainer_obeys(memory_log: MemoryLog) -> None:
    await trained(memory_log)
    async with serving(memory_log) as served:
        state = (await served.level()).loop("support").state
        target = state.rollback_target()
        assert target is not None, "the feedback is easy enough for two promotions"
        answer = await served.post("/api/loops/support/rollback")
        assert (answer.status_code, answer.json()["version"]) == (202, target)
        command = await last_event(served, "feedback")
        assert isinstance(command, PromoteModel)
        assert command.version == target


async def test_only_a_version_that_was_in_charge_can_be_promoted(memory_log: MemoryLog) -> None:
    await trained(memory_log)
    async with serving(memory_log) as served:
        state = (await served.level()).loop("support").state
        assert (
            await served.post("/api/loops/support/promote", {"version": state.promotions[0].version})
        ).status_code == 202
        refused = await served.post("/api/loops/support/promote", {"version": "never-seen"})
        assert (refused.status_code, refused.headers["content-type"]) == (404, PROBLEM)


async def test_a_rollback_without_an_earlier_champion_is_refused(memory_log: MemoryLog) -> None:
    await memory_log.append(some_feedback(5, loops=("support",)))
    async with serving(memory_log) as served:
        await served.level()
        assert (await served.post("/api/loops/support/rollback")).status_code == 400


async def test_an_evolution_is_requested_followed_and_cancelled(memory_log: MemoryLog) -> None:
    await memory_log.append(some_feedback(5, loops=("support",)))
    async with serving(memory_log) as served:
        await served.level()
        answer = await served.post("/api/loops/support/evolutions", {"settings": {"max_iterations": 3}})
        assert answer.status_code == 202
        run_id = answer.json()["run_id"]
        request = await last_event(served)
        assert isinstance(request, EvolutionRequested)
        assert request.settings == {"max_iterations": 3}
        await served.level()
        assert [run["run_id"] for run in (await served.get("/api/evolutions")).json()["evolutions"]] == [run_id]
        assert (await served.post(f"/api/loops/support/evolutions/{run_id}/cancel")).status_code == 202
        assert isinstance(await last_event(served), EvolutionCancelRequested)
        assert (await served.post("/api/loops/support/evolutions/evo-none/cancel")).status_code == 404


async def test_evolution_settings_are_checked_at_the_door(memory_log: MemoryLog) -> None:
    await memory_log.append(some_feedback(5, loops=("support",)))
    async with serving(memory_log) as served:
        await served.level()
        bad = await served.post("/api/loops/support/evolutions", {"settings": {"max_iterations": -1}})
        assert (bad.status_code, bad.headers["content-type"]) == (400, PROBLEM)
        assert "max_iterations" in bad.json()["detail"]


async def test_an_operators_prompt_is_in_use_at_once(memory_log: MemoryLog) -> None:
    async with serving(memory_log) as served:
        assert (await served.get("/api/loops/support/prompt")).status_code == 404
        first = await served.put("/api/loops/support/prompt", {"text": "Be kind."})
        second = await served.put("/api/loops/support/prompt", {"text": "Be brief. ✓"})
        assert (first.status_code, second.status_code) == (200, 200)
        shown = (await served.get("/api/loops/support/prompt")).json()
        assert (shown["text"], shown["version"]) == ("Be brief. ✓", second.json()["version"])
        event = await last_event(served)
        assert isinstance(event, PromptPromoted)
        assert (event.version, event.previous) == (second.json()["version"], first.json()["version"])


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "version"), ({"version": 3}, "version"), ({"version": ""}, "version"), ({"version": "v", "more": 1}, "more")],
)
async def test_bad_input_is_refused_with_the_field(memory_log: MemoryLog, body: object, field: str) -> None:
    async with serving(memory_log) as served:
        bad = await served.post("/api/loops/support/promote", body)
        assert (bad.status_code, bad.headers["content-type"], bad.json()["field"]) == (422, PROBLEM, field)


async def test_dead_letters_are_listed_and_replayed(log: Log) -> None:
    await write_raw(log, 0, "events", b"broken <b>")
    async with serving(log) as served:
        await served.level()
        (letter,) = (await served.get("/api/dead-letters")).json()["dead_letters"]
        assert (letter["stream"], letter["role"], letter["body"]) == ("events", "monitor", "broken <b>")
        assert (await served.post("/api/dead-letters/replay", {"ids": [letter["id"]]})).json() == {"replayed": 1}


async def test_the_counts_of_the_system_close(log: Log) -> None:
    await log.append(some_feedback(130))
    await log.append(some_feedback(130))  # sent twice: the same ids
    await train(log)
    async with serving(log) as served:
        await served.level()
        async with asyncio.timeout(10):
            while (counts := (await served.get("/api/system")).json()["counts"])["monitored"] != 130:
                await served.view.after(served.view.revision)
        assert (counts["accepted"], counts["duplicate"]) == (130, 130)
        assert counts["monitored"] == sum(
            counts[part] for part in ("trained", "capped", "distrusted", "unlearnt", "open")
        )


async def test_what_is_monitored_was_accepted_at_every_moment(log: Log) -> None:
    async with serving(log) as served:
        for seed in range(5):
            await log.append(some_feedback(40, seed=seed))
            view = await served.level()
            counts = (await served.get("/api/system")).json()["counts"]
            assert counts["monitored"] <= counts["accepted"], "the page would say that something was counted twice"
        async with asyncio.timeout(10):
            while view.system.counts.get("monitored") != 200:
                await view.after(view.revision)


async def test_with_a_key_the_api_answers_only_to_it(memory_log: MemoryLog) -> None:
    async with serving(memory_log, key="open-sesame") as served:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic open-sesame"}):
            answer = await served.get("/api/loops", headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await served.get("/api/live")).status_code == 401
        assert (await served.post("/api/loops/x/rollback")).status_code == 401
        allowed = await served.get("/api/loops", headers={"Authorization": "Bearer open-sesame"})
        assert allowed.status_code == 200
        assert (await served.get("/")).status_code == 200, "the page itself asks for the key"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
async def test_a_foreign_page_may_change_nothing(memory_log: MemoryLog, headers: dict[str, str]) -> None:
    async with serving(memory_log) as served:
        assert (await served.post("/api/loops/support/rollback", headers=headers)).status_code == 403


async def test_without_a_key_a_foreign_host_name_is_refused(memory_log: MemoryLog) -> None:
    """A name that an attacker points at 127.0.0.1 (DNS rebinding) would make the foreign page same-origin."""
    async with serving(memory_log) as served:
        assert (await served.get("/api/loops", headers={"Host": "evil.example"})).status_code == 403
        assert (await served.get("/api/loops", headers={"Host": "localhost:8000"})).status_code == 200


async def test_a_body_larger_than_any_command_is_refused_before_the_key_is_looked_at(memory_log: MemoryLog) -> None:
    async with serving(memory_log, key="open-sesame") as served:
        answer = await served.put("/api/loops/support/prompt", {"text": "x" * 2**20})
        assert answer.status_code == 413


async def test_readiness_and_health_say_what_is_there(memory_log: MemoryLog) -> None:
    async with serving(memory_log) as served:
        await served.level()
        ready = await served.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["broker"]) == (200, "ok")
        assert (await served.get("/healthz")).status_code == 200


async def test_the_docs_come_from_this_machine_and_declare_problems(memory_log: MemoryLog) -> None:
    async with serving(memory_log) as served:
        page = await served.get("/docs")
        assert "script-src 'self';" in page.headers["content-security-policy"]
        assert "http" not in page.text
        assert (await served.get("/docs/swagger-ui-bundle.js")).status_code == 200
        document = (await served.get("/openapi.json")).json()
        found = document["paths"]["/api/loops/{loop}/promote"]["post"]["responses"]["422"]
        assert list(found["content"]) == [PROBLEM]


async def test_an_evolution_of_a_loop_that_does_not_exist_is_a_404_and_leaves_no_event(memory_log: MemoryLog) -> None:
    async with serving(memory_log) as served:
        answer = await served.post("/api/loops/nobody/evolutions", {})
        assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
        assert await last_entries(memory_log, 0, "events") == []
