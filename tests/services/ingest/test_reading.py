"""The doors that applications read from: the champion now, and what happens while there is none."""

from __future__ import annotations

import asyncio
import uuid
from typing import Literal

import numpy as np
import pytest

from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.text_model import OnlineTextModel
from meta_learning.events import ModelPromoted, PromptPromoted, parse_time
from meta_learning.registry.prompts import prompt_blob
from meta_learning.registry.versions import Manifest, publish
from meta_learning.streams import Limits, Log
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.memory_broker import MemoryBroker
from tests.services.ingest.conftest import LogMaker
from tests.services.ingest.serving import Door, door, good, plan

NOON = parse_time("2026-01-02T12:00:00Z")
ASKED = {"input_text": "Where is my parcel?", "candidates": ["no", "yes yes", "yes"]}


async def promote(
    log: Log, served: Door, kind: Literal["model", "prompt"], version: str, content: bytes, loop: str = "support"
) -> str:
    """Make ``content`` the champion of ``loop`` by hand, as the trainer and the evolver do."""
    manifest = Manifest(kind=kind, loop=loop, version=version, content=served.store.put(content))
    digest = publish(served.store, manifest)
    await log.start()
    event_id = uuid.uuid4().hex
    event = (
        ModelPromoted(event_id=event_id, occurred_at=NOON, loop=loop, version=version, cause="operator")
        if kind == "model"
        else PromptPromoted(event_id=event_id, occurred_at=NOON, loop=loop, version=version)
    )
    await log.publish(loop, [event], {f"{kind}:{loop}": digest})
    await log.close()
    return digest


def test_candidates_come_best_first_with_scores_and_version(make_log: LogMaker) -> None:
    with door(make_log(Limits())) as served:
        digest = asyncio.run(promote(make_log(Limits()), served, "model", "v1", b"yes"))
        answer = served.http.post("/v1/loops/support/rank", json=ASKED | {"unit": "u7"})
    assert answer.status_code == 200
    assert answer.json() == {
        "loop": "support",
        "model_version": "v1",
        "unit": "u7",
        "digest": digest,
        "propensity": 1.0,
        "ask": True,
        "ask_propensity": 1.0,
        "metadata": {"acting": {"unit": "u7", "candidates": ASKED["candidates"], "asked": True, "ask_propensity": 1.0}},
        "candidates": [
            {"index": 1, "text": "yes yes", "score": 0.5},
            {"index": 2, "text": "yes", "score": 0.25},
            {"index": 0, "text": "no", "score": 0.0},
        ],
    }


def test_a_model_that_the_trainer_saved_ranks() -> None:
    model = OnlineTextModel()
    pairs = [("Where is my parcel?", "Sorry, no idea."), ("Where is my parcel?", "It arrives tomorrow.")] * 30
    model.learn(pairs, np.array([0.0, 1.0] * 30))
    fake = MemoryBroker()
    with door(MemoryLog(2, Limits(), fake), load_model=load_model) as served:
        asyncio.run(promote(MemoryLog(2, Limits(), fake), served, "model", model.version(), model.dump()))
        candidates = ["Sorry, no idea.", "It arrives tomorrow."]
        asked = {"input_text": "Where is my parcel?", "candidates": candidates}
        said = served.http.post("/v1/loops/support/rank", json=asked).json()
    assert said["model_version"] == model.version()
    assert [item["index"] for item in said["candidates"]] == [1, 0]
    expected = model.predict([("Where is my parcel?", text) for text in reversed(candidates)])
    assert [item["score"] for item in said["candidates"]] == pytest.approx(list(expected))


def test_the_next_promotion_is_seen_without_a_restart(make_log: LogMaker) -> None:
    with door(make_log(Limits())) as served:
        for version, word, best in [("v1", b"yes", "yes yes"), ("v2", b"no", "no")]:
            asyncio.run(promote(make_log(Limits()), served, "model", version, word))
            said = served.http.post("/v1/loops/support/rank", json=ASKED).json()
            assert (said["model_version"], said["candidates"][0]["text"]) == (version, best)


def test_without_a_champion_the_order_given_is_kept_and_no_score_is_made_up(both: Door) -> None:
    both.send(good())
    said = both.http.post("/v1/loops/support/rank", json=ASKED).json()
    assert said["model_version"] is None
    assert said["candidates"] == [
        {"index": index, "text": text, "score": None} for index, text in enumerate(ASKED["candidates"])
    ]


def test_an_unknown_loop_is_not_found_and_a_bad_slug_invalid(both: Door) -> None:
    for answer in (both.http.post("/v1/loops/nobody/rank", json=ASKED), both.http.get("/v1/loops/nobody/prompt")):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    for answer in (both.http.post("/v1/loops/NO!/rank", json=ASKED), both.http.get("/v1/loops/NO!/prompt")):
        assert (answer.status_code, answer.json()["field"]) == (422, "loop")


def test_the_current_prompt_comes_with_its_version(make_log: LogMaker) -> None:
    with door(make_log(Limits())) as served:
        blob = prompt_blob("Be kind.", {"task": "Be kind."})
        digest = asyncio.run(promote(make_log(Limits()), served, "prompt", "p1", blob))
        said = served.http.get("/v1/loops/support/prompt", params={"unit": "user-7"}).json()
    assert said == {
        "loop": "support",
        "prompt_version": "p1",
        "digest": digest,
        "text": "Be kind.",
        "chat": {
            "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "{input}"}],
            "input": "{input}",
        },
        "blocks": {"task": "Be kind."},
        "voters": [],
        "price": None,
    }


def test_a_loop_without_a_prompt_says_how_to_set_one(both: Door) -> None:
    both.send(good())
    answer = both.http.get("/v1/loops/support/prompt")
    assert answer.status_code == 404
    assert "promote one" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input_text": "x"}, "candidates"),
        ({"input_text": "x", "candidates": []}, "candidates"),
        ({"input_text": "x", "candidates": ["a"] * 101}, "candidates"),
        ({"input_text": "x", "candidates": [1]}, "candidates.0"),
        ({"input_text": "x" * 40_000, "candidates": ["a"]}, "input_text"),
        ({"input_text": "x", "candidates": ["a"], "unit": ""}, "unit"),
        ({"input_text": "x", "candidates": ["a"], "explore": "yes"}, "explore"),
    ],
)
def test_a_wrong_request_to_rank_is_named_by_field(memory_door: Door, body: object, field: str) -> None:
    answer = memory_door.http.post("/v1/loops/support/rank", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert "xxxx" not in answer.text


def test_a_body_that_is_not_json_is_a_400_and_a_form_a_415(memory_door: Door) -> None:
    door_path = "/v1/loops/support/rank"
    broken = memory_door.http.post(door_path, content=b'{"input_text": ', headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["title"]) == (400, "Bad request")
    assert broken.json()["detail"].startswith("the body is not JSON: ")
    form = memory_door.http.post(door_path, data={"input_text": "x"})
    assert form.status_code == 415
    assert "application/json" in form.json()["detail"]
    assert memory_door.http.post(door_path, content=b"{}").status_code == 415


def test_limits_and_names_are_told_in_sentences(memory_door: Door) -> None:
    many = memory_door.http.post("/v1/loops/support/rank", json={"input_text": "x", "candidates": ["a"] * 101})
    assert many.json()["detail"] == "candidates: holds 101 items; at most 100 are accepted"
    named = "loop: takes lower-case letters, digits, - and _; at most 64, the first a letter or digit"
    assert memory_door.http.post("/v1/loops/NO!/rank", json=ASKED).json()["detail"] == named
    assert memory_door.http.post("/v1/feedback", json=good(loop="NO!")).json()["detail"] == named


def test_the_last_known_champion_serves_while_the_broker_is_away() -> None:
    fake = MemoryBroker()
    with door(MemoryLog(2, Limits(), fake)) as served:
        asyncio.run(promote(MemoryLog(2, Limits(), fake), served, "model", "v1", b"yes"))
        served.http.post("/v1/loops/support/rank", json=ASKED)
        fake.down = True
        assert served.http.post("/v1/loops/support/rank", json=ASKED).json()["model_version"] == "v1"
        assert served.http.get("/v1/loops/support/prompt").status_code == 503
        stale = 'meta_learning_ingest_champion_lookups_total{kind="model",result="stale"}'
        assert served.metric(stale) == 1


def test_a_version_that_cannot_be_loaded_leaves_the_former_one_in_service() -> None:
    fake = MemoryBroker()
    with door(MemoryLog(2, Limits(), fake)) as served:
        log = MemoryLog(2, Limits(), fake)
        asyncio.run(promote(log, served, "model", "v1", b"broken"))
        assert served.http.post("/v1/loops/support/rank", json=ASKED).status_code == 503
        asyncio.run(promote(log, served, "model", "v2", b"yes"))
        assert served.http.post("/v1/loops/support/rank", json=ASKED).json()["model_version"] == "v2"
        asyncio.run(promote(log, served, "model", "v3", b"broken"))
        assert served.http.post("/v1/loops/support/rank", json=ASKED).json()["model_version"] == "v2"


def test_a_model_that_raises_is_a_problem_without_the_users_text() -> None:
    fake = MemoryBroker()
    with door(MemoryLog(2, Limits(), fake)) as served:
        asyncio.run(promote(MemoryLog(2, Limits(), fake), served, "model", "v1", b"raises"))
        answer = served.http.post("/v1/loops/support/rank", json=ASKED)
        assert answer.status_code == 503
        assert "private" not in answer.text


def test_a_fresh_champion_costs_no_question_and_few_are_kept() -> None:
    fake = MemoryBroker()
    lookups = "meta_learning_ingest_champion_lookups_total"
    with door(MemoryLog(2, Limits(), fake), plan(champion_refresh_s=60.0, champions_count_max=2)) as served:
        for name in ("a", "b", "c"):
            asyncio.run(promote(MemoryLog(2, Limits(), fake), served, "model", "v1", b"yes", loop=name))
        for name in ("a", "a", "b", "c", "c", "a"):
            served.http.post(f"/v1/loops/{name}/rank", json=ASKED)
        assert served.metric(f'{lookups}{{kind="model",result="hit"}}') == 2
        assert served.metric(f'{lookups}{{kind="model",result="loaded"}}') == 4
