"""Alarms: few without drift, soon with it, explained, and the loop's own drift told from the world's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from meta_learning.clrs import DriftDetector, Exchange, LoopMonitor
from meta_learning.clrs.drift.alarm_rule import AlarmRule
from meta_learning.clrs.drift.change_detector import ChangeDetector, threshold
from meta_learning.clrs.drift.change_statistic import ChangeStatistic
from meta_learning.clrs.drift.hashed_rows import HashedRows
from meta_learning.clrs.drift.loop_drift import LoopDrift
from meta_learning.clrs.drift.permutation import Labelled, permutation_test
from meta_learning.clrs.drift.skill_drift import SkillDrift
from meta_learning.clrs.drift.text_drift import TextDrift
from meta_learning.clrs.models.port import Floats
from meta_learning.errors import ConfigurationError
from tests.core.clrs.test_drift import losses, texts


def errors(streams: int, rates: Floats, seed: int = 0) -> Floats:
    return (np.random.default_rng(seed).random((streams, len(rates))) < rates).astype(np.float64)


def crossings(streams: Floats, baseline: int, limit: float) -> list[float]:
    """The event at which the vectorised evidence of a rise first reaches the limit; infinite where never."""
    start = streams[:, :baseline].sum(axis=1)
    held, found = ChangeStatistic(baseline, start, start), np.full(len(streams), math.inf)
    for event in range(baseline, streams.shape[1]):
        if held.add(streams[:, event]) and len(held.sizes) > 1:
            rise, fall, _ = held.evidence()
            assert not np.logical_and(rise > 0, fall > 0).any()
            found = np.where((rise.max(axis=0) >= limit) & np.isinf(found), event, found)
    return found.tolist()


def test_the_streaming_detector_and_the_vectorised_evidence_alarm_at_the_same_events() -> None:
    rates = np.where(np.arange(2500) < 1800, 0.2, 0.35)
    streams = errors(12, rates)
    first = []
    for stream in streams:
        detector = ChangeDetector(1000)
        first.append(next((event for event, loss in enumerate(stream.tolist()) if detector.update(loss)), math.inf))
    assert first == crossings(streams, 1000, threshold(50_000.0))
    assert any(math.isfinite(event) for event in first)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_without_a_change_the_detector_keeps_its_run_length(rate: float) -> None:
    found = crossings(errors(150, np.full(4000, rate), seed=3), 1000, threshold(10_000.0))
    expected = 150 * 3000 / 10_000
    assert sum(map(math.isfinite, found)) <= expected + 3 * expected**0.5


def test_a_rise_by_a_tenth_is_seen_within_280_events_and_dated() -> None:
    streams, delays, dates = errors(15, np.where(np.arange(4000) < 3000, 0.2, 0.3), seed=4), [], []
    for stream in streams:
        detector = ChangeDetector(1000)
        alarm = next(event for event, loss in enumerate(stream.tolist()) if detector.update(loss))
        delays.append(alarm - 2999)
        dates.append((detector.changed_at or 0) - 3000)
    assert np.median(delays) <= 280
    assert abs(np.median(dates)) <= 60


def test_a_model_that_became_better_is_held_to_what_it_became() -> None:
    rates = np.concatenate([np.full(2500, 0.4), np.full(4000, 0.2), np.full(600, 0.35)])
    detector = ChangeDetector(1000)
    alarms = [event for event, loss in enumerate(errors(1, rates, seed=5)[0].tolist()) if detector.update(loss)]
    assert len(alarms) == 1
    assert 6500 <= alarms[0] <= 6900
    assert detector.before.mean == pytest.approx(0.2, abs=0.03)


def test_the_permutation_p_value_is_small_as_rarely_as_it_says() -> None:
    small = 0
    for seed in range(60):
        draws = np.random.default_rng(seed)
        drift = TextDrift(reference_size=80, window_size=30, seed=seed, level=0.01)
        drift.update(texts(80, draws))
        drift.update(texts(30, draws))
        assert drift.p_value is not None
        small += drift.p_value <= 0.1
    assert small <= 6 + 3 * 6**0.5


def test_fine_p_values_are_drawn_only_where_an_alarm_waits_for_them() -> None:
    rows = HashedRows((np.arange(40) % 3).astype(np.uint16), np.ones(40, dtype=np.int64)).weighted()
    inside = np.arange(40) >= 30
    described = np.where(inside, 1.0, 0.0)[:, None] + np.random.default_rng(0).normal(0, 0.1, (40, 12))
    fine, _ = permutation_test(rows, described, inside, np.random.default_rng(1), level=0.002)
    rough, _ = permutation_test(rows, described, inside, np.random.default_rng(1))
    assert fine <= 0.002
    assert rough == 0.01


def test_relabellings_stop_where_the_level_is_out_of_reach() -> None:
    """The p-value says with how many it was found: a multiple of one over them."""
    rows = HashedRows((np.arange(60) % 7).astype(np.uint16), np.ones(60, dtype=np.int64)).weighted()
    inside, stopped = np.arange(60) >= 40, 0
    for seed in range(150):
        draws = np.random.default_rng(seed)
        described = draws.normal(0, 1, (60, 12)) + np.where(inside, 0.3, 0.0)[:, None]
        p_value, _ = permutation_test(rows, described, inside, draws, level=0.0005)
        counts = (100, *(100 + 250 * more for more in range(1, 8)), 2101)
        used = next(count for count in counts if abs(p_value * count - round(p_value * count)) < 1e-6)
        stopped += 100 < used < 2101
        assert used == 2101 or p_value > 0.0005
    assert stopped >= 3


@pytest.mark.parametrize("kinds", [4, 300])
def test_the_statistic_in_words_is_that_of_the_gram_matrix(kinds: int) -> None:
    draws = np.random.default_rng(0)
    words = [np.unique(draws.integers(0, 500, 9)).astype(np.uint16) for _ in range(kinds)]
    chosen = [words[place] for place in draws.integers(kinds, size=300)]
    rows = HashedRows(np.concatenate(chosen), np.array([len(row) for row in chosen])).weighted()
    inside = np.zeros((300, 5), dtype=np.bool_)
    for column in range(5):
        inside[draws.permutation(300)[:40], column] = True
    found = Labelled.of(rows, np.zeros((300, 12))).parts(inside)[:, 0]
    centred = rows.toarray() - rows.toarray().mean(axis=0)
    assert found == pytest.approx(((inside.T @ centred) ** 2).sum(axis=1), rel=1e-4)


def test_a_run_length_that_windows_cannot_resolve_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="shorten the run length"):
        DriftDetector(run_length=1e8)


def test_an_input_alarm_names_the_words_the_segment_and_the_event() -> None:
    draws = np.random.default_rng(0)
    detector = DriftDetector()
    for _ in range(9):
        detector.update(input_texts=texts(100, draws), segments=["de", "en"] * 50)
    assert detector.alarms == []
    for _ in range(2):
        strange = [f"{text} refund" if n % 2 else text for n, text in enumerate(texts(100, draws))]
        detector.update(input_texts=strange, segments=["de", "en"] * 50)
    (alarm,) = detector.alarms  # one episode, one alarm
    assert (alarm.kind, alarm.event, alarm.since) == ("input", 1000, 900)
    assert alarm.words[0] == ("refund", 0.5)
    assert alarm.segment is not None
    assert alarm.segment["segment"] == "en"
    assert alarm.evidence <= 0.0005


def test_a_concept_alarm_names_the_segment_that_lost_and_since_when() -> None:
    draws, detector = np.random.default_rng(1), DriftDetector()
    segments = ["de", "en"] * 50
    for batch in range(45):
        predicted, constant, true = losses(100, 0.15, draws)
        if batch >= 40:
            predicted = np.where(np.arange(100) % 2 == 0, 1 - true, predicted)
        detector.update(scored=(predicted, constant, true), segments=segments)
    alarm = next(alarm for alarm in detector.alarms if alarm.kind == "concept")
    assert 3950 <= alarm.since <= 4030
    assert alarm.segment is not None
    assert alarm.segment["segment"] == "de"
    assert alarm.score is not None
    assert alarm.score > 0.3


def test_the_budget_of_false_alarms_is_spent_once_over_all_kinds() -> None:
    rule = AlarmRule(run_length=40_000.0)
    windows = 40_000 / 100
    spent = windows * (rule.level("input", 100) + rule.level("output", 100)) + 40_000 / rule.concept_run_length
    assert spent == pytest.approx(1.0)


def test_an_episode_ends_when_its_evidence_has_gone() -> None:
    rule = AlarmRule()
    p_values = [0.5, 0.0004, 0.0004, 0.03, 0.2, 0.03, 0.0003]
    assert [rule.raised("input", p, 100) for p in p_values] == [False, True, False, False, False, False, True]


@pytest.mark.parametrize(
    ("champion", "control", "cause"),
    [(0.1, 0.1, "none"), (0.3, 0.1, "loop"), (0.3, 0.3, "world"), (0.1, 0.3, "world"), (0.9, 0.4, "unclear")],
)
def test_the_control_arm_tells_the_loops_drift_from_the_worlds(champion: float, control: float, cause: str) -> None:
    draws, drift = np.random.default_rng(2), LoopDrift()
    for batch in range(40):
        rates = (champion, control) if batch >= 30 else (0.1, 0.1)
        lost, kept = (np.where(draws.random(100) < rate, 0.85, 0.05) for rate in rates)
        drift.update("v1", lost, kept)
    assert drift.result()["cause"] == cause


def test_right_and_wrong_changing_places_is_the_worlds_doing_though_the_better_model_loses_more() -> None:
    draws, drift = np.random.default_rng(3), LoopDrift()
    for batch in range(40):
        hard = draws.random(100)
        wrong = [np.where((hard < rate) != (batch >= 30), 0.8, 0.0) for rate in (0.1, 0.2)]
        drift.update("v1", *wrong)
    assert drift.result()["cause"] == "world"


def test_a_new_control_version_begins_its_own_baseline() -> None:
    drift = LoopDrift()
    for version in ("v1", "v2"):
        for _ in range(20):
            drift.update(version, np.full(100, 0.2), np.full(100, 0.1 if version == "v1" else 0.9))
    assert drift.result()["cause"] == "none"


def test_the_monitor_hands_segments_and_the_control_arm_on() -> None:
    from benchmarks.monitor.cost import cycle

    draws, monitor = np.random.default_rng(0), LoopMonitor()
    for number in range(1, 17):
        asked = [Exchange(text, "yes", segment="de") for text in texts(100, draws)]
        monitor.observe(cycle(number, draws), asked)
    drift = monitor.summary()["drift"]
    assert drift["cause"]["cause"] == "none"
    assert monitor.drift.skill.segments.worst() is not None
    assert LoopMonitor.load(monitor.dump()).summary() == monitor.summary()


def test_the_detector_of_a_drift_is_not_held_up_by_a_model_that_learns() -> None:
    draws, skill = np.random.default_rng(7), SkillDrift()
    for rate in np.linspace(0.4, 0.2, 60):
        skill.update(*losses(100, float(rate), draws))
    assert skill.alarms == 0
    for _ in range(8):
        skill.update(*losses(100, 0.4, draws))
    assert skill.alarms == 1
