"""API keys: who comes in, who does not, and that no key and no text is ever logged."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meta_learning.errors import ConfigurationError
from meta_learning.serving.logs import log_as_json
from meta_learning.serving.settings import read_settings
from meta_learning.streams import Limits
from meta_learning.streams.memory import MemoryLog
from meta_learning.streams.memory_broker import MemoryBroker
from services.ingest.__main__ import IngestSettings
from services.ingest.keys import Keys, make_key
from tests.services.ingest.serving import Door, door, good, plan

KEY, ENTRY = make_key("shop")
READ_KEY, READ_ENTRY = make_key("page", "read")
RANK = {"input_text": "x", "candidates": ["a"]}


@pytest.fixture
def locked() -> Iterator[Door]:
    with door(MemoryLog(2), plan(keys=Keys.parse(f"{ENTRY},\n {READ_ENTRY}"))) as served:
        yield served


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"Authorization": KEY}, {"X-API-Key": "wrong"}])
def test_no_key_or_a_wrong_one_is_unauthorised_at_every_door(locked: Door, headers: dict[str, str]) -> None:
    for answer in (
        locked.http.post("/v1/feedback", json=good(), headers=headers),
        locked.http.post("/v1/feedback/batch", json=[good()], headers=headers),
        locked.http.get("/v1/loops/support/prompt", headers=headers),
        locked.http.post("/v1/loops/support/rank", json=RANK, headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_opens_the_doors_of_its_scope_only(locked: Door) -> None:
    assert locked.send(good(), **bearer(KEY)).status_code == 202
    assert locked.http.post("/v1/feedback", json=good(), headers={"X-API-Key": KEY}).status_code == 202
    assert locked.http.post("/v1/loops/support/rank", json=RANK, headers=bearer(READ_KEY)).status_code == 200
    assert locked.send(good(), **bearer(READ_KEY)).status_code == 403


def test_health_and_metrics_need_no_key(locked: Door) -> None:
    assert {locked.http.get(path).status_code for path in ("/healthz", "/readyz", "/metrics", "/docs")} == {200}


def test_a_refused_sender_of_a_large_body_reads_the_refusal(locked: Door) -> None:
    answer = locked.http.post("/v1/feedback/batch", content=b"x" * 8_000_000)
    assert answer.status_code == 401


def test_nothing_of_a_key_or_a_text_is_logged() -> None:
    seen = io.StringIO()
    log_as_json("ingest", "DEBUG")
    logging.getLogger().handlers[0].setStream(seen)  # type: ignore[attr-defined]
    fake = MemoryBroker()
    secret_text, wrong = "my-private-parcel", "mlk_wrongwrongwrong"
    try:
        with door(MemoryLog(2, Limits(), fake), plan(keys=Keys.parse(ENTRY))) as served:
            sent = good("a1", input_text=secret_text, output_text=secret_text, user_id="user-jane")
            served.send(sent, **bearer(wrong))
            served.send(sent, **bearer(KEY))
            served.send(sent | {"output_text": f"{secret_text}!"}, **bearer(KEY))
            served.send(sent | {"feedback_score": secret_text}, **bearer(KEY))
            rank = {"input_text": secret_text, "candidates": [secret_text, 3]}
            served.http.post("/v1/loops/support/rank?unit=user-jane", json=rank, headers=bearer(KEY))
            served.http.post("/v1/feedback/batch", json=[sent, secret_text], headers=bearer(KEY))
            fake.down = True
            served.send(sent, **bearer(KEY))
    finally:
        logging.basicConfig(level="WARNING", force=True)
    lines = [json.loads(line) for line in seen.getvalue().splitlines()]
    assert {line["status"] for line in lines if line["message"] == "request"} >= {202, 401, 409, 422, 503}
    assert all(line["request_id"] for line in lines if line["message"] == "request")
    for secret in (KEY, wrong, ENTRY.split(":")[1], secret_text, "user-jane"):
        assert secret not in seen.getvalue()


def test_the_command_prints_a_key_and_its_entry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["services.ingest", "make-key", "shop", "ingest"])
    monkeypatch.delitem(sys.modules, "services.ingest.__main__")
    runpy.run_module("services.ingest", run_name="__main__")
    key, entry = capsys.readouterr().out.split()
    assert entry == f"shop:{hashlib.sha256(key.encode()).hexdigest()}:ingest"
    assert Keys.parse(entry).admit(f"Bearer {key}", "ingest") == "shop"


@pytest.mark.parametrize("text", ["shop", "shop:abc", f"shop:{'0' * 64}:write", f"a:{'0' * 64},a:{'1' * 64}", KEY])
def test_a_malformed_entry_is_a_configuration_error_that_does_not_repeat_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("META_LEARNING_API_KEYS", text)
    with pytest.raises(ConfigurationError) as caught:
        read_settings(IngestSettings)
    assert str(caught.value).startswith("META_LEARNING_API_KEYS: ")
    assert text not in str(caught.value)


def test_keys_come_from_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text(f"{ENTRY}\n{READ_ENTRY}\n")
    monkeypatch.setenv("META_LEARNING_API_KEYS_FILE", str(tmp_path / "keys"))
    keys = read_settings(IngestSettings).plan().keys
    assert keys.admit(f"Bearer {KEY}", "read") == "shop"


def test_every_setting_has_a_default_and_a_sentence() -> None:
    assert IngestSettings().ingest_port == 8001
    for name, setting in IngestSettings.model_fields.items():
        assert setting.description, name
        assert not setting.is_required(), name
