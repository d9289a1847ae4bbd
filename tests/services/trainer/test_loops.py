"""The trainer's loops: what they say is a fold of their entries, whatever is evicted, restored, shared or broken."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from meta_learning.errors import MalformedState, StoreUnavailable
from meta_learning.events import CycleCompleted, FeedbackReceived, ModelPromoted, PromoteModel, decode
from meta_learning.registry.versions import lineage, manifest_of
from meta_learning.streams import Entry
from services.trainer.loops import VERSIONS_MAX
from tests.brokers import NOON
from tests.core.clrs import lives
from tests.services.trainer.folding import CYCLE_SIZE, Desk, entries, learnable


def batches(loops_count: int, events_count: int, seed: int = 3) -> list[list[FeedbackReceived]]:
    """Feedback of several loops, mixed, in batches of uneven sizes."""
    chance = random.Random(seed)
    numbers = dict.fromkeys([f"loop-{n}" for n in range(loops_count)], 0)
    events = []
    for _ in range(events_count):
        loop = chance.choice(list(numbers))
        numbers[loop] += 1
        events.append(learnable(numbers[loop], loop))
    found = []
    while events:
        size = chance.randint(1, 25)
        found.append(events[:size])
        events = events[size:]
    return found


def promote(version: str, event_id: str = "command-1", loop: str = "support") -> PromoteModel:
    return PromoteModel(event_id=event_id, occurred_at=NOON, loop=loop, version=version)


def promoted(desk: Desk, cycles: int) -> list[ModelPromoted]:
    """What ``cycles`` cycles of learnable feedback promote."""
    folded = desk.step(entries(*(learnable(n) for n in range(cycles * CYCLE_SIZE))))
    return [event for event in folded.commit.emit if isinstance(event, ModelPromoted)]


def test_a_loop_keeps_its_weights_when_another_loop_lets_go_of_equal_ones() -> None:
    desk = Desk()
    desk.step(entries(*(learnable(n, "first") for n in range(5))))
    desk.step(entries(*(learnable(n, "second") for n in range(5))))
    # Both began with the same untrained model; the first one has learnt now and forgets it.
    desk.step(entries(*(learnable(n, "first") for n in range(5, 10))))
    folded = desk.again().step(entries(*(learnable(n, "second") for n in range(5, 10))))
    assert not folded.commit.parked
    assert [cycle.loop for cycle in folded.cycles] == ["second"]


@pytest.mark.parametrize("ready_max", [1, 2])
def test_evicting_loops_from_memory_changes_nothing(ready_max: int) -> None:
    plain, tight = Desk(), Desk(ready_max)
    for batch in batches(loops_count=5, events_count=400):
        lying = entries(*batch)
        one, two = plain.step(lying), tight.step(lying)
        assert [event.encode() for event in one.commit.emit] == [event.encode() for event in two.commit.emit]
        assert one.commit.state == two.commit.state
        assert one.commit.pointers == two.commit.pointers
        assert len(tight.loops._ready) <= ready_max
    assert plain.registry.digests() == tight.registry.digests()


def test_the_workspace_holds_what_the_last_commit_names_and_nothing_else() -> None:
    desk = Desk()
    for batch in batches(loops_count=3, events_count=300):
        desk.step(entries(*batch))
    for name, loop in desk.loops._ready.items():
        assert desk.workspaces[name].digests() == sorted(loop.blobs)


def test_state_that_cannot_be_read_back_stops_the_fold_instead_of_parking_good_entries() -> None:
    desk = Desk()
    desk.step(entries(*(learnable(n) for n in range(5))))
    lost = desk.workspaces["support"].digests()[0]
    desk.workspaces["support"].delete(lost)
    with pytest.raises(MalformedState, match=f"loop support: its state cannot be read back: no blob {lost}"):
        desk.again().step(entries(learnable(5)))


@pytest.mark.parametrize("state", [b"{", b"{}", b"[]", b'{"system": "{}", "versions": []}'])
def test_damaged_state_names_its_loop(state: bytes) -> None:
    desk = Desk()
    desk.state = {"support": state}
    with pytest.raises(MalformedState, match="loop support"):
        desk.again().step(entries(learnable(0)))


def test_a_full_disk_leaves_the_last_commit_as_it_was_and_the_fold_goes_on_when_there_is_room(tmp_path: Path) -> None:
    reference, desk = Desk(), Desk(folder=tmp_path)
    first, second = (entries(*(learnable(n) for n in part)) for part in (range(25), range(25, 60)))
    assert reference.step(first).commit == desk.step(first).commit
    expected = reference.step(second)
    # A file where a folder must be: what the operating system refuses, also for root.
    shutil.rmtree(tmp_path / "registry", ignore_errors=True)
    (tmp_path / "registry").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="registry cannot be used now"):
        desk.again().step(second)
    (tmp_path / "registry").unlink()
    assert desk.again().step(second).commit == expected.commit


def test_an_unknown_version_is_parked_with_its_reason_and_changes_nothing() -> None:
    desk = Desk()
    promoted(desk, 4)
    before = dict(desk.state)
    folded = desk.step(entries(promote("0" * 64)))
    [(entry, reason)] = folded.commit.parked
    assert reason == f"loop support never promoted a version {'0' * 64}"
    assert (folded.commit.emit, folded.commit.pointers, desk.state) == ([], {}, before)
    assert folded.commit.offsets == {"feedback": entry.id}


def test_a_command_for_a_loop_that_nobody_fed_does_not_make_one() -> None:
    desk = Desk()
    folded = desk.step(entries(promote("0" * 64, loop="nobody")))
    assert (len(folded.commit.parked), folded.commit.state) == (1, {})


def test_an_event_of_another_stream_is_parked() -> None:
    desk = Desk()
    said = list(desk.step(entries(*(learnable(n) for n in range(10)))).commit.emit)
    (_, reason), *_ = desk.step(entries(*said)).commit.parked
    assert reason == "a CycleCompleted has no business on the feedback stream"


def test_an_operator_rolls_back_and_the_pointer_goes_to_the_very_same_manifest() -> None:
    desk = Desk()
    first, *_, last = promoted(desk, 8)
    assert first.version != last.version
    folded = desk.again().step(entries(promote(first.version)))
    [said] = folded.commit.emit
    assert isinstance(said, ModelPromoted)
    assert (said.version, said.previous, said.cause) == (first.version, last.version, "operator")
    manifest = manifest_of(desk.registry, folded.commit.pointers["model:support"])
    assert (manifest.version, manifest.parent) == (first.version, None)
    # What is learnt from there on descends from there.
    folded = desk.step(entries(*(learnable(n) for n in range(100, 100 + 3 * CYCLE_SIZE))))
    names = [known.version for known in lineage(desk.registry, folded.commit.pointers["model:support"])]
    assert first.version in names
    assert last.version not in names


def test_a_loop_remembers_a_bounded_number_of_versions() -> None:
    desk = Desk()
    promoted(desk, 3)
    loop = desk.loops._ready["support"]
    loop.versions = [{"version": str(n), "manifest": "", "content": ""} for n in range(VERSIONS_MAX)]
    number = 1000
    while loop.versions[-1]["manifest"] == "":
        desk.step(entries(*(learnable(n) for n in range(number, number + CYCLE_SIZE))))
        number += CYCLE_SIZE
    assert len(loop.versions) == VERSIONS_MAX


def test_cycles_of_one_batch_come_in_the_order_of_their_entries() -> None:
    folded = Desk().step(entries(*(learnable(n) for n in range(3 * CYCLE_SIZE))))
    cycles = [event.cycle for event in folded.commit.emit if isinstance(event, CycleCompleted)]
    assert cycles == [1, 2, 3]


def test_state_of_another_release_says_which_format_and_what_to_do() -> None:
    desk = Desk()
    desk.step(entries(*(learnable(n) for n in range(5))))
    saved = json.loads(desk.state["support"])
    saved["system"] = json.dumps(json.loads(saved["system"]) | {"format": 1})
    desk.state["support"] = json.dumps(saved).encode()
    with pytest.raises(
        MalformedState, match=r"loop support: .* has format 1, this release reads \d+: go back .* fresh"
    ):
        desk.again().step(entries(learnable(5)))


def test_a_trainer_killed_after_every_event_commits_what_an_unbroken_one_does() -> None:
    """Every second time it dies with the next event folded, its weights stored, and nothing committed."""
    lines: list[list[Entry]] = [entries(event) for event in lives.stream()]
    whole, killed = (Desk(settings=lives.SETTINGS, model=lives.small_model()) for _ in range(2))
    said: dict[bool, list[bytes]] = {False: [], True: []}
    pointers: dict[bool, list[object]] = {False: [], True: []}
    for place, line in enumerate(lines):
        for is_killed, desk in ((False, whole), (True, killed)):
            if is_killed and place % 2:
                desk.loops.fold(line)
            folded = (desk.again() if is_killed else desk).step(line)
            said[is_killed] += [event.encode() for event in folded.commit.emit]
            pointers[is_killed].append(folded.commit.pointers)
    assert said[True] == said[False]
    assert pointers[True] == pointers[False]
    assert killed.state == whole.state
    causes = {event.cause for event in map(decode, said[True]) if isinstance(event, ModelPromoted)}
    assert causes == {"gate", "rollback"}
    # What no state refers to was let go of, by both alike.
    assert {name: set(kept._blobs) for name, kept in killed.workspaces.items()} == {
        name: set(kept._blobs) for name, kept in whole.workspaces.items()
    }
