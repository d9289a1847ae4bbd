from __future__ import annotations

from pathlib import Path

import pytest

from meta_learning.acla.store import MemoryRunStore, RunStore
from meta_learning.errors import CallerError, MalformedState
from meta_learning.registry.runs import FileRunStore

EVENTS = [{"kind": "started"}, {"kind": "reply", "text": "größer\u2028\n"}, {"kind": "finished"}]


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    return MemoryRunStore() if request.param == "memory" else FileRunStore(tmp_path)


def test_a_log_is_read_as_it_was_written_and_runs_do_not_mix(store: RunStore) -> None:
    for event in EVENTS:
        store.append("one", event)
    store.append("other", {"kind": "other"})
    assert store.read("one") == EVENTS
    assert store.read("never") == []


def test_a_kill_at_any_byte_loses_at_most_the_line_that_was_being_written(tmp_path: Path) -> None:
    for event in EVENTS:
        FileRunStore(tmp_path).append("run", event)
    path = tmp_path / "run" / "log.jsonl"
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        survived = EVENTS[: whole[:size].count(b"\n")]
        assert FileRunStore(tmp_path).read("run") == survived
        FileRunStore(tmp_path).append("run", {"kind": "next"})
        assert FileRunStore(tmp_path).read("run") == [*survived, {"kind": "next"}]


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    for event in EVENTS:
        FileRunStore(tmp_path).append("run", event)
    path = tmp_path / "run" / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"kind": "reply"', b'{"kind": "repl', 1))
    with pytest.raises(MalformedState, match="line 2"):
        FileRunStore(tmp_path).read("run")


def test_a_run_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(CallerError):
        FileRunStore(tmp_path / "runs").append("../escaped", {})
