"""Every pattern is found where it was planted, is silent where it was not, and keeps one contract."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from meta_learning.clrs.patterns.port import Evidence
from meta_learning.clrs.patterns.reference import Reference
from meta_learning.clrs.patterns.watch import PATTERNS, QUIET_CYCLES, PatternWatch
from tests.core.clrs.planted import CHANGE_AT, KINDS, PLANTS, World, readings, run, without

LATEST = {"plateau": 16, "oscillation": 6, "topic_death": 5}


@pytest.mark.parametrize("planted", PLANTS)
def test_a_planted_pattern_is_found_by_name_and_nothing_else_is(planted: str) -> None:
    name, plant = PLANTS[planted]
    watch, first = run("steady", 1, plant, cycles=44)
    assert list(first) == [name]
    assert CHANGE_AT <= first[name] <= CHANGE_AT + LATEST.get(name, 3)
    found = watch.result()["last_seen"][name]
    assert found["since_cycle"] == first[name]
    assert found["sentence"].endswith(".")
    assert found["numbers"]
    assert all(isinstance(number, float) for number in found["numbers"].values())


@pytest.mark.parametrize("kind", KINDS)
def test_healthy_loops_raise_nothing(kind: str) -> None:
    """A slice of `benchmarks/monitor/patterns_null.py`, where 800 such loops run."""
    assert [run(kind, 500 + seed)[1] for seed in range(4)] == [{}] * 4


def test_the_new_topic_is_named_by_its_words() -> None:
    watch, _ = run("steady", 3, PLANTS["topic birth"][1], cycles=30)
    sentence = watch.result()["last_seen"]["topic_birth"]["sentence"]
    assert all(word in sentence for word in ("strike", "ferry", "cancelled"))


def test_a_finding_is_active_until_three_cycles_have_passed_without_it() -> None:
    watch, world, plant = PatternWatch(), World(4), PLANTS["label inversion"][1]

    def at_last(world: World, made: dict[str, Any], number: int) -> None:
        if number < CHANGE_AT + 2:
            plant(world, made, number)

    active = []
    for seen in readings(world, watch, at_last, CHANGE_AT + 6):
        watch.update(seen)
        active.append([found["name"] for found in watch.result()["active"]])
    assert active[: CHANGE_AT - 1] == [[]] * (CHANGE_AT - 1)
    assert active[CHANGE_AT - 1 : CHANGE_AT + QUIET_CYCLES] == [["label_inversion"]] * (QUIET_CYCLES + 1)
    assert active[CHANGE_AT + QUIET_CYCLES] == []
    assert watch.result()["last_seen"]["label_inversion"]["last_cycle"] == CHANGE_AT + 1


def _restored(watch: PatternWatch) -> PatternWatch:
    again = PatternWatch()
    again.restore(json.loads(json.dumps(watch.state())))
    return again


@pytest.mark.parametrize("planted", PLANTS)
def test_a_watch_restored_at_any_cycle_finds_the_same(planted: str) -> None:
    """Its own words are counted by a twin: the reading holds the topics of the first."""
    name, plant = PLANTS[planted]
    watch, twin = PatternWatch(), PatternWatch()
    for seen in readings(World(5), watch, plant, CHANGE_AT + 16):
        if seen.cycle % 5 == 0:
            twin = _restored(twin)
        assert twin.update(seen) == watch.update(seen)
    assert twin.result() == watch.result()
    assert name in twin.result()["last_seen"]


def test_a_champion_whose_candidate_still_learns_is_no_plateau() -> None:
    watch, candidate = PatternWatch(), World(12, "learning")
    for seen in readings(World(12), watch, PLANTS["plateau"][1], CHANGE_AT + 20):
        learning = candidate.cycle(3)["probe"]  # as it moves in its first cycles
        assert watch.update(without(seen, probe_candidate=learning)) == []


def test_topics_restored_say_the_same_words() -> None:
    watch = PatternWatch()
    for seen in readings(World(6), watch, PLANTS["topic birth"][1], CHANGE_AT + 1):
        watch.update(seen)
    assert watch.topics.born() is not None
    assert _restored(watch).topics.born() == watch.topics.born()


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_keeps_the_contract(name: str) -> None:
    pattern, watch = PATTERNS[name](), PatternWatch()
    assert pattern.name == name
    for seen in readings(World(7, "labels"), watch, cycles=20):
        bare = without(seen, predictions=None, probe_answers=None, probe_scores=None, diversity=None)
        for told in (seen, bare):
            evidence = pattern.update(told)
            assert evidence is None or isinstance(evidence, Evidence)
    state = json.dumps(pattern.state())
    assert len(state) < 25_000
    again = PATTERNS[name]()
    again.restore(json.loads(state))
    assert json.dumps(again.state()) == state


def test_the_state_of_a_watch_does_not_grow() -> None:
    watch, sizes = PatternWatch(), []
    for seen in readings(World(8), watch, cycles=60):
        watch.update(seen)
        if seen.cycle in (30, 60):
            sizes.append(len(json.dumps(watch.state())))
    assert sizes[1] < 1.5 * sizes[0]
    assert sizes[1] < 60_000


def test_what_stays_odd_becomes_the_usual() -> None:
    usual, draws = Reference(floor=0.001), np.random.default_rng(9)
    for _ in range(20):
        usual.update(0.5 + 0.01 * draws.normal())
    assert usual.p_value(0.3, "below") < 1e-4
    for _ in range(60):
        usual.update(0.3 + 0.01 * draws.normal())
    assert usual.p_value(0.3, "below") > 0.1


def test_yes_or_no_feedback_is_never_called_polarised() -> None:
    _, first = run("binary", 10, PLANTS["polarisation of feedback"][1], 40)
    assert first == {}


def test_a_reading_without_users_or_segments_is_no_trouble() -> None:
    watch = PatternWatch()
    for seen in readings(World(11), watch, cycles=12):
        nobody = [exchange._replace(user_id=None, segment=None) for exchange in seen.exchanges]
        assert watch.update(without(seen, exchanges=nobody)) == []
