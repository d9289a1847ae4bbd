"""Drift scores stay low without drift, start as None, and rise for the kind that was planted.

The larger form of the null, on more streams and on real tweets, is ``benchmarks/monitor/null_drift.py``.
"""

from __future__ import annotations

import math
import re
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meta_learning.clrs import ClosedLoopSystem, DriftDetector
from meta_learning.clrs.drift.behaviour_drift import BehaviourDrift
from meta_learning.clrs.drift.e_detector import EDetector
from meta_learning.clrs.drift.hashed_rows import BUCKETS, HashedRows
from meta_learning.clrs.drift.skill_drift import SkillDrift
from meta_learning.clrs.drift.text_drift import TextDrift
from meta_learning.clrs.drift.text_sample import TextSample
from meta_learning.clrs.drift.text_style import styles_of
from meta_learning.clrs.drift.vocabulary import Vocabulary
from meta_learning.clrs.drift_detector import KINDS
from meta_learning.clrs.models.port import Floats
from meta_learning.errors import ConfigurationError
from tests.core.clrs.streams import labelled

WORDS = [f"w{rank}" for rank in range(2000)]
ZIPF = 1.0 / np.arange(1, len(WORDS) + 1)


def texts(count: int, draws: np.random.Generator, length: int = 12) -> list[str]:
    """Texts of Zipf-distributed words: without drift between any two calls."""
    found = draws.choice(len(WORDS), (count, length), p=ZIPF / ZIPF.sum())
    return [" ".join(WORDS[index] for index in row) for row in found]


def losses(count: int, rate: float, draws: np.random.Generator) -> tuple[Floats, float, Floats]:
    """Confident predictions that are wrong at ``rate``; the constant says a half."""
    true = draws.integers(2, size=count).astype(float)
    wrong = draws.random(count) < rate
    return np.where(wrong, 1.0 - true, true) * 0.8 + 0.1, 0.5, true


def test_without_drift_no_score_exceeds_the_threshold_in_more_than_one_percent_of_windows() -> None:
    exceeded, windows = 0, 0
    for seed in range(5):
        draws = np.random.default_rng(seed)
        detector = DriftDetector(seed=seed)
        for _ in range(20):
            detector.update(
                input_texts=texts(100, draws),
                output_texts=draws.choice(["positive", "negative"], 100).tolist(),
                scored=losses(100, 0.2, draws),
            )
            current = detector.score()
            if current is not None:
                windows, exceeded = windows + 1, exceeded + (current > 0.3)
    assert windows >= 75
    assert exceeded <= 0.01 * windows


def test_a_whole_loop_on_an_undrifted_stream_stays_below_the_threshold() -> None:
    system = ClosedLoopSystem(cycle_size=50, probe_size=100)
    for asked, answered, score in labelled(2200):
        system.collect_feedback(asked, answered, score)
    drift = [line["drift"] for line in system.get_system_summary()["history"]]
    known = [score for score in drift if score is not None]
    assert drift[0] is None
    assert known
    assert max(known) <= 0.3
    kinds = system.get_system_summary()["drift"]["kinds"]
    assert tuple(kinds) == KINDS
    assert all(kinds[name] is not None for name in ("input", "output", "behaviour", "concept", "performance"))


def test_replaced_texts_raise_the_input_score_and_leave_the_others_alone() -> None:
    draws = np.random.default_rng(0)
    detector = DriftDetector()
    for _ in range(8):
        detector.update(input_texts=texts(100, draws), output_texts=texts(100, draws))
    strange = [f"{text} x{n} x{n + 1} x1" for n, text in enumerate(texts(100, draws))]
    detector.update(input_texts=strange, output_texts=texts(100, draws))
    result = detector.result()
    assert (result["set_by"], result["drifted"]) == ("input", True)
    assert result["low"] > 0.3
    assert result["p_values"]["input"] <= 0.005
    assert result["kinds"]["output"] <= 0.3


def test_a_shift_of_labels_is_an_output_drift() -> None:
    draws = np.random.default_rng(0)
    drift = TextDrift()
    for share in (0.5,) * 7 + (0.95,):
        drift.update(draws.choice(["yes", "no"], 100, p=[share, 1 - share]).tolist())
    current = drift.result().current
    assert current is not None
    assert current > 0.3


def test_a_text_score_is_none_until_half_the_reference_and_a_window_are_full() -> None:
    drift = TextDrift(reference_size=80, window_size=20)
    draws = np.random.default_rng(0)
    drift.update(texts(40, draws))
    assert drift.result().current is None
    drift.update(texts(10, draws))
    assert drift.result().current is None
    drift.update(texts(10, draws))
    assert drift.result().current is not None


@pytest.mark.parametrize("seen", [["", "same"], ["same", "same"], ["", ""]])
def test_texts_of_no_words_and_all_equal_texts_are_no_drift(seen: list[str]) -> None:
    drift = TextDrift(reference_size=40, window_size=20)
    drift.update(seen * 20)
    drift.update(seen * 10)
    current = drift.result().current
    assert current is not None
    assert current <= 0.3
    assert (drift.p_value or 0.0) > 0.5


def test_a_score_is_given_early_and_the_whole_reference_takes_over_when_it_is_full() -> None:
    draws, drift, said = np.random.default_rng(0), TextDrift(), []
    for _ in range(14):
        drift.update(texts(100, draws))
        said.append((drift.result().current is not None, len(drift.state()["reference"]["early"] or ())))
    assert said[:5] == [(False, 3)] * 5
    assert said[5:9] == [(True, 3)] * 4
    assert said[9:] == [(True, 0)] * 5  # the early one's last score stands until the first window of the whole one
    assert drift.windows == 5 + 4
    drift.update([f"{text} x{n} x{n + 1} x1" for n, text in enumerate(texts(100, draws))])
    assert (drift.p_value or 1.0) <= drift.level


def test_batches_of_any_size_meet_the_whole_reference() -> None:
    draws, drift = np.random.default_rng(0), TextDrift(reference_size=100, window_size=30)
    for size in (7, 64, 41, 3, 200, 29, 1):
        drift.update(texts(size, draws))
    assert drift.windows == 1 + 1 + 1  # early at 71 to 100 texts, then at 315, then at 345
    assert drift.p_value is not None


def test_packed_rows_come_back_as_they_were() -> None:
    rows = HashedRows(np.array([1, 5, 4095, 7], dtype=np.uint16), np.array([3, 0, 1]))
    for found in (rows, rows.taken([2, 0, 0]), rows.last(2), HashedRows.none()):
        back = HashedRows.unpacked(found.packed())
        assert (back.buckets.tolist(), back.sizes.tolist()) == (found.buckets.tolist(), found.sizes.tolist())
    assert rows.taken([2, 0]).buckets.tolist() == [7, 1, 5, 4095]
    assert (rows.last(2).buckets.tolist(), rows.last(2).sizes.tolist()) == ([7], [0, 1])


def plain_style(text: str) -> list[float]:
    """The descriptors, character by character."""
    size, words = max(len(text), 1), text.split()
    marks = [c for c in text if not c.isalnum() and not c.isspace()]
    return [
        math.log1p(len(text)),
        sum(map(len, words)) / max(len(words), 1),
        math.sqrt(sum(map(str.isupper, text)) / size),
        math.sqrt(sum(map(str.isdigit, text)) / size),
        math.sqrt(len(marks) / size),
        float("@" in text),
        float(any(found in text for found in ("http:", "https:", "www."))),
        float(text[:1].isupper()),
        float(text[-1:].isalnum()),
        float(text.endswith((".", "!", "?"))),
    ]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
@example(["", "  ", "Ünï ١٢ 𝒜! 😀", "\x02\x03", "see www.a.b", "", "at @me 12\n\nTwo?"])
def test_styles_of_a_batch_are_those_of_each_text(texts: list[str]) -> None:
    assert styles_of(texts) == pytest.approx(np.array([plain_style(text) for text in texts]))


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.lists(st.text(max_size=20), max_size=3))
@example(["ab", "", "b ab ab"], ["ab"])
def test_novelty_of_a_batch_is_that_of_each_text(texts: list[str], known: list[str]) -> None:
    together, vocabulary = Vocabulary(), Vocabulary()
    together.add(known)
    for text in known:
        vocabulary.add([text])
    found = together.novelty(texts)
    assert found.tolist() == [vocabulary.novelty([text])[0].tolist() for text in texts]
    for text, new in zip(texts, found.tolist(), strict=True):
        words = set(re.findall(r"\w+|[^\w\s]", text))
        strange = words - {word for other in known for word in re.findall(r"\w+|[^\w\s]", other)}
        # Two words in 65,536 places can share one.
        assert new[0] <= len(strange) / math.sqrt(max(len(words), 1)) + 1e-9


def test_concept_drift_is_zero_until_its_alarm_and_then_the_share_of_skill_lost() -> None:
    draws = np.random.default_rng(1)
    skill = SkillDrift()
    for _ in range(30):
        skill.update(*losses(100, 0.2, draws))
    assert skill.concept().current == 0.0
    for _ in range(6):
        skill.update(*losses(100, 0.45, draws))
    assert skill.alarms == 1
    concept, performance = skill.concept().current, skill.performance().current
    assert concept is not None
    assert concept > 0.6
    assert performance is not None
    assert performance > 0.3


def test_after_an_alarm_the_new_state_becomes_the_baseline_and_the_scores_calm_down() -> None:
    draws = np.random.default_rng(1)
    skill = SkillDrift()
    for rate, batches in ((0.15, 30), (0.35, 30)):
        for _ in range(batches):
            skill.update(*losses(100, rate, draws))
    assert skill.alarms == 1
    assert skill.concept().current == 0.0


def test_without_skill_performance_has_nothing_to_lose_and_stays_none() -> None:
    draws = np.random.default_rng(2)
    skill = SkillDrift()
    for _ in range(40):
        true = draws.integers(2, size=100).astype(float)
        skill.update(np.full(100, 0.5), 0.5, true)
    assert skill.performance().current is None


def test_an_alarm_of_a_model_that_had_no_skill_is_no_lost_skill() -> None:
    draws = np.random.default_rng(2)
    skill = SkillDrift()
    for rate, batches in ((0.5, 30), (0.95, 6)):
        for _ in range(batches):
            skill.update(*losses(100, rate, draws))
    assert skill.alarms == 1
    assert skill.concept().current is None


def test_a_window_that_cannot_be_cross_fitted_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="window_size must be at least 5"):
        DriftDetector(window_size=4)


@pytest.mark.parametrize("level", [0.05, 0.2, 0.6])
def test_the_e_detector_keeps_its_run_length_under_the_null(level: float) -> None:
    draws = np.random.default_rng(3)
    detector = EDetector(level, run_length=2000.0)
    alarms = sum(detector.update(float(loss)) for loss in draws.random(40_000) < level)
    assert alarms <= 20 + 2 * 20**0.5  # expected at most 20, and two standard deviations


def test_behaviour_is_none_while_the_probe_grows_and_the_champion_is_young() -> None:
    drift, said = BehaviourDrift(span=3, young=4), []
    for size, champion in ((10, 1), (20, 2), (20, 2), (20, 3), (20, 3), (20, 4), (20, 4), (20, 4), (20, 5)):
        drift.update(np.full(size, champion / 10))
        said.append(drift.result().current)
    # The fourth champion is the first that was promoted at least four cycles after the probe was full.
    assert said[:8] == [None] * 8
    assert said[8] == pytest.approx(0.1)


def test_a_champion_that_grows_surer_did_not_change_its_behaviour_and_one_that_swaps_answers_did() -> None:
    probe = np.repeat([0.15, 0.85], 100)
    for later, low, high in ((np.repeat([0.05, 0.95], 100), 0.0, 0.15), (probe[::-1], 0.6, 0.8)):
        drift = BehaviourDrift(span=2, young=2)
        for answers in (probe / 2, probe, probe, probe, later, later):
            drift.update(answers)
        current = drift.result().current
        assert current is not None
        assert low < current < high


def test_behaviour_that_moves_slowly_in_one_direction_is_seen_against_the_pin() -> None:
    draws = np.random.default_rng(0)
    probe, drift = draws.random(200), BehaviourDrift(span=10)
    for cycle in range(60):
        moved = max(cycle - 30, 0) * 0.03 + 0.01 * (cycle % 2)
        drift.update(np.clip(probe + moved * np.where(probe < 0.5, 1, -1), 0, 1))
        if cycle == 30:
            assert (drift.result().current or 0.0) < 0.02
    current = drift.result().current
    assert current is not None
    assert current > 0.3


def test_a_detector_restored_from_its_state_goes_on_alike() -> None:
    draws = np.random.default_rng(4)
    first = DriftDetector(seed=4)
    for step in range(20):
        asked, answered, scored = texts(70, draws), texts(70, draws, 2), losses(70, 0.2, draws)
        second = DriftDetector.from_state(first.state(), seed=4)
        for detector in (first, second):
            detector.update(
                input_texts=asked, output_texts=answered, probe_answers=np.full(50, step / 20), scored=scored
            )
        assert second.result() == first.result()
        assert second.state() == first.state()


def test_names_of_words_do_not_depend_on_whether_a_snapshot_was_taken_meanwhile() -> None:
    first, other = "w31", next(word for word in (f"v{n}" for n in range(100_000)) if _bucket(word) == _bucket("w31"))
    named = []
    for saved in (True, False):
        sample = TextSample()
        sample.add([first], [None], Vocabulary())
        if saved:
            sample = TextSample.from_state(sample.state())
        sample.add([other, first], [None] * 2, Vocabulary())
        sample.keep(2)
        named.append(sample.names)
    assert named[0] == named[1]
    assert named[0]


def _bucket(word: str) -> int:
    return zlib.crc32(word.encode()) % BUCKETS


def test_behaviour_kept_as_histograms_by_an_earlier_release_begins_anew() -> None:
    old = {
        "cycles": 40,
        "size": 50,
        "pins": [[20, [5] * 10], [30, [5] * 10]],
        "estimate": BehaviourDrift().result().as_dict(),
    }
    drift = BehaviourDrift.from_state(old, span=1, young=1)
    for answer in (0.1, 0.1, 0.1, 0.9):
        drift.update(np.full(50, answer))
    assert drift.result().current == pytest.approx(0.8)


def test_a_window_that_was_only_suspicious_does_not_hide_the_drift_that_follows() -> None:
    draws = np.random.default_rng(6)
    drift = TextDrift(reference_size=200, window_size=50)
    drift.update(texts(250, draws))
    drift.p_value = 0.03  # as one window in thirty has by chance
    drift = TextDrift.from_state(drift.state(), reference_size=200, window_size=50)
    drift.update([f"blue train {n}" for n in range(50)])
    assert drift.p_value is not None
    assert drift.p_value <= drift.level
