"""The loop is a fold: cut anywhere, continued, replayed, it says and saves the same bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, Exchange, LoopMonitor, LoopSettings, exchange_of
from meta_learning.clrs.gating.judging import replay_decision
from meta_learning.clrs.loop_state import Snapshot
from meta_learning.errors import ConfigurationError, MalformedEvent, MalformedState, NotFound
from meta_learning.events import CycleCompleted, Event, FeedbackReceived, ModelPromoted, PromoteModel
from meta_learning.registry import digest_of
from tests.core.clrs.streams import START, events, labelled

ADDED = {  # fields that records did not have at first
    "control_version",
    "control_predictions",
    "probe_perturbed",
    "shadow_version",
    "shadow_predictions",
    "learner_predictions",
    "distrusted_count",
    "left_out",
    "segments",
    "gate",
}
SETTINGS = LoopSettings(cycle_size=20, probe_size=30)


def fold_all(system: ClosedLoopSystem, feedback: list[FeedbackReceived], first: int = 0) -> list[Event]:
    told: list[Event] = []
    for index, event in enumerate(feedback, start=first):
        told += system.fold(event, f"{index + 1}-0")
    return told


def test_a_run_cut_and_restored_at_every_offset_equals_the_unbroken_run_byte_for_byte() -> None:
    feedback = events(labelled(110))
    unbroken = ClosedLoopSystem(settings=SETTINGS)
    expected = [event.encode() for event in fold_all(unbroken, feedback)]
    final = unbroken.snapshot()
    system = ClosedLoopSystem(settings=SETTINGS)
    store: dict[str, bytes] = {}
    told: list[bytes] = []
    for index, event in enumerate(feedback):
        told += [emitted.encode() for emitted in system.fold(event, f"{index + 1}-0")]
        saved = system.snapshot()
        store |= saved.blobs
        system = ClosedLoopSystem.restore(saved.state, store.__getitem__, settings=SETTINGS)
    assert told == expected
    assert unbroken.champion_version is not None, "the run must hold a promotion to be worth cutting"
    assert system.snapshot().state == final.state
    assert system.get_system_summary() == unbroken.get_system_summary()


def test_a_run_restored_once_at_each_offset_ends_in_the_same_state() -> None:
    feedback = events(labelled(62, seed=1))
    unbroken = ClosedLoopSystem(settings=SETTINGS)
    snapshots, store = [], {}
    for index, event in enumerate(feedback):
        unbroken.fold(event, f"{index + 1}-0")
        snapshots.append(unbroken.snapshot())
        store.update(snapshots[-1].blobs)
    for index in range(0, len(feedback), 7):
        again = ClosedLoopSystem.restore(snapshots[index].state, store.__getitem__, settings=SETTINGS)
        fold_all(again, feedback[index + 1 :], index + 1)
        assert again.snapshot().state == snapshots[-1].state


def test_a_replay_from_the_start_emits_the_same_ids_times_and_bytes() -> None:
    feedback = events(labelled(80))
    first, second = (fold_all(ClosedLoopSystem(settings=SETTINGS), feedback) for _ in range(2))
    assert [event.encode() for event in first] == [event.encode() for event in second]
    cycles = [event for event in first if isinstance(event, CycleCompleted)]
    assert [cycle.occurred_at for cycle in cycles] == [event.occurred_at for event in feedback[19::20]]
    assert (cycles[0].first_entry, cycles[0].last_entry) == ("1-0", "20-0")


def test_a_snapshot_between_cycles_dumps_no_weights_again() -> None:
    feedback = events(labelled(45))
    system = ClosedLoopSystem(settings=SETTINGS)
    fold_all(system, feedback[:40])
    assert system.snapshot().blobs
    fold_all(system, feedback[40:], 40)
    assert system.snapshot().blobs == {}


def test_all_blobs_that_a_state_refers_to_were_handed_out_under_their_digest() -> None:
    system = ClosedLoopSystem(settings=SETTINGS)
    store: dict[str, bytes] = {}
    for index, event in enumerate(events(labelled(70))):
        system.fold(event, f"{index + 1}-0")
        saved = system.snapshot()
        store |= saved.blobs
        assert system.blob_digests <= store.keys()
    assert all(digest_of(blob) == digest for digest, blob in store.items())


def test_what_the_monitor_folds_by_itself_equals_the_summary_of_the_loop() -> None:
    rows = labelled(400)
    system, watching = ClosedLoopSystem(settings=SETTINGS), LoopMonitor(SETTINGS)
    exchanges: list[Exchange] = []
    for index, event in enumerate(events(rows)):
        exchanges.append(exchange_of(event))
        for told in system.fold(event, f"{index + 1}-0"):
            if isinstance(told, CycleCompleted):
                watching.observe(CycleCompleted.decode(told.encode()), exchanges)
                watching = LoopMonitor.load(watching.dump(), SETTINGS)
                exchanges = []
                assert watching.summary() == system.monitor.summary()
    assert watching.dump() == system.monitor.dump()
    assert json.loads(json.dumps(system.get_system_summary())) == system.get_system_summary()


def promoted_run() -> tuple[ClosedLoopSystem, list[ModelPromoted], dict[str, bytes]]:
    """A loop with a few versions, and every version's bytes."""
    system, blobs, by_version = ClosedLoopSystem(settings=SETTINGS), {}, {}
    told: list[Event] = []
    for index, event in enumerate(events(labelled(300))):
        told += system.fold(event, f"{index + 1}-0")
        saved: Snapshot = system.snapshot()
        blobs.update(saved.blobs)
        by_version.update({version: blobs[digest] for version, digest in saved.versions.items()})
    return system, [event for event in told if isinstance(event, ModelPromoted)], by_version


def test_an_operator_can_roll_back_to_an_earlier_version_and_the_loop_learns_on_from_it() -> None:
    system, promoted, by_version = promoted_run()
    assert len(promoted) >= 2
    back = promoted[0].version
    command = PromoteModel(event_id="roll-back", occurred_at=START, loop="default", version=back)
    (told,) = system.fold(command, "301-0", by_version.__getitem__)
    assert isinstance(told, ModelPromoted)
    assert (told.version, told.previous, told.cause) == (back, promoted[-1].version, "operator")
    assert system.champion_version == system.candidate_version == back
    assert system.fold(command, "302-0", by_version.__getitem__) == []


def test_a_version_that_cannot_be_had_changes_nothing() -> None:
    system, _, _ = promoted_run()
    before = system.snapshot().state
    command = PromoteModel(event_id="x", occurred_at=START, loop="default", version="0" * 64)
    with pytest.raises(NotFound):
        system.fold(command, "301-0")
    assert system.snapshot().state == before


def test_feedback_of_another_loop_is_refused() -> None:
    (event,) = events(labelled(1), loop="other")
    with pytest.raises(ConfigurationError, match="other"):
        ClosedLoopSystem().fold(event)


@pytest.mark.parametrize("state", [b"", b"[]", b"{}", b'{"format": 1}', b'{"format": 9}'])
def test_a_state_that_cannot_be_read_is_named_so(state: bytes) -> None:
    with pytest.raises(MalformedState):
        ClosedLoopSystem.restore(state, dict[str, bytes]().__getitem__)


def test_the_counts_close_at_every_moment_and_one_user_cannot_fill_a_cycle() -> None:
    rows = labelled(100)
    crowd = [
        event.model_copy(update={"user_id": f"u{index % 9}" if index % 2 else "loud"})
        for index, event in enumerate(events(rows))
    ]
    system = ClosedLoopSystem(settings=SETTINGS)
    for index, event in enumerate(crowd):
        system.fold(event, f"{index + 1}-0")
        counts = system.get_system_summary()["counts"]
        assert counts["accepted"] == sum(
            counts[part] for part in ("trained", "capped", "distrusted", "unlearnt", "pending")
        )
    assert counts["capped"] == 5 * (10 - 5)
    assert np.isfinite(system.score("the room", "positive"))


def test_a_record_from_before_the_gates_wrote_down_what_they_knew_is_watched_but_not_replayed() -> None:
    feedback = events(labelled(60))
    monitor, monitored = LoopMonitor(SETTINGS), 0
    for event in fold_all(ClosedLoopSystem(settings=SETTINGS), feedback):
        if not isinstance(event, CycleCompleted):
            continue
        said = {name: value for name, value in json.loads(event.encode()).items() if name not in ADDED}
        old = CycleCompleted.decode(json.dumps(said).encode())
        part = feedback[20 * monitored : 20 * (monitored + 1)]
        monitor.observe(old, [exchange_of(found) for found in part])
        with pytest.raises(MalformedEvent, match=f"cycle {old.cycle} "):
            replay_decision(old)
        monitored += 1
    assert monitor.summary()["cycles"] == monitored == 3
