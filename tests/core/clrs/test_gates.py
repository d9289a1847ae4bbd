"""Each gate passes what it should and says why it does not pass the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from meta_learning.clrs.gating import gates
from meta_learning.clrs.gating.evidence import SEGMENTS_MAX, Evidence
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.statistics import Moments

SETTINGS = LoopSettings()


def gains(mean: float, count: int, spread: float = 0.05, seed: int = 0) -> Moments:
    drawn = np.random.default_rng(seed).normal(size=count)
    return Moments.of(mean + spread * (drawn - drawn.mean()))


def test_a_first_version_must_surely_beat_the_constant() -> None:
    assert gates.beats_constant(gains(0.02, 100), SETTINGS.z).passed
    verdict = gates.beats_constant(gains(0.005, 100), SETTINGS.z)
    assert not verdict.passed
    assert "0.0050" in verdict.reason
    assert verdict.numbers["gain_over_constant_low"] is not None


def evidence(mean: float, count: int, spread: float = 0.05, seed: int = 0, **more: Any) -> Evidence:
    """Of a champion whose Brier score is 0.2."""
    return Evidence(gains(mean, count, spread, seed), 0.2 * count, **more)


def test_an_equal_candidate_passes_once_there_is_enough_evidence_and_a_worse_one_never() -> None:
    assert gates.not_inferior(evidence(0.0, 1000), 0.0, SETTINGS).passed
    early = gates.not_inferior(evidence(0.0, 100), 0.0, SETTINGS)
    assert (early.passed, early.hopeless) == (False, False)
    worse = gates.not_inferior(evidence(-0.02, 1000), 0.0, SETTINGS)
    assert (worse.passed, worse.hopeless) == (False, True)


def test_the_nearer_the_two_models_answers_the_fewer_events_it_takes() -> None:
    assert gates.not_inferior(evidence(0.0, 100, spread=0.01), 0.0, SETTINGS).passed
    assert not gates.not_inferior(evidence(0.0, 100, spread=0.1), 0.0, SETTINGS).passed


def test_answers_that_moved_on_the_probe_count_as_noise_that_the_few_events_did_not_show() -> None:
    assert gates.not_inferior(evidence(0.0, 100, spread=0.001), 0.0, SETTINGS).passed
    assert not gates.not_inferior(evidence(0.0, 100, spread=0.001), 0.04, SETTINGS).passed


def test_a_clear_gain_passes_however_noisy() -> None:
    assert gates.not_inferior(evidence(0.06, 100, spread=0.1), 0.0, SETTINGS).passed


def share_of_passes(mean: float, cycles: int, runs: int) -> float:
    """How often a candidate with this mean gain passes within so many cycles of 100 looked at one after the other."""
    draws = np.random.default_rng(5)
    passed = 0
    for _ in range(runs):
        known = Evidence()
        for _ in range(cycles):
            known += Evidence(Moments.of(draws.normal(mean, 0.1, size=100)), 20.0)
            verdict = gates.not_inferior(known, 0.0, SETTINGS)
            if verdict.passed or verdict.hopeless:
                passed += verdict.passed
                break
    return passed / runs


def test_errors_of_both_kinds_stay_within_their_limit_however_often_one_looks() -> None:
    margin = SETTINGS.margin * 0.2
    assert share_of_passes(-margin, 40, 300) <= 0.05 + 0.025
    assert share_of_passes(0.0, 40, 300) >= 0.95 - 0.025


def test_a_ruined_segment_holds_a_candidate_that_is_good_on_the_whole() -> None:
    parts = {"fr": gains(-0.2, 60, 0.1), "en": gains(0.02, 900, 0.05), "rare": gains(-0.9, 5, 0.1)}
    verdict = gates.no_segment_worse(evidence(0.005, 965, segments=parts), SETTINGS)
    assert (verdict.passed, verdict.hopeless) == (False, True)
    assert "'fr'" in verdict.reason
    fine = gates.no_segment_worse(evidence(0.005, 965, segments={"fr": gains(0.0, 60, 0.1)}), SETTINGS)
    assert fine.passed


def test_a_segment_with_few_events_is_not_judged_and_stays_bounded_in_number() -> None:
    verdict = gates.no_segment_worse(evidence(0.0, 100, segments={"rare": gains(-0.9, 9, 0.1)}), SETTINGS)
    assert verdict.passed
    total = Evidence()
    for name in range(100):
        total += evidence(0.0, 100, segments={f"s{name:03}": gains(0.0, 10)})
    assert len(total.segments) == SEGMENTS_MAX


def test_behaviour_that_moves_too_far_needs_proof_that_it_is_better() -> None:
    before, after = np.full(200, 0.1), np.full(200, 0.9)
    assert gates.behaviour_within(before, before, proven=False, limit=0.3).passed
    assert not gates.behaviour_within(before, after, proven=False, limit=0.3).passed
    assert gates.behaviour_within(before, after, proven=True, limit=0.3).passed


def test_the_limit_on_negative_flips_binds_only_from_a_thousand_items() -> None:
    assert gates.few_negative_flips(evidence(0.0, 999, negative_flips=50), SETTINGS).passed
    assert not gates.few_negative_flips(evidence(0.0, 1000, negative_flips=50), SETTINGS).passed
    assert gates.few_negative_flips(evidence(0.0, 1000, negative_flips=19), SETTINGS).passed


def test_negative_flips_that_as_many_positive_ones_make_up_for_do_not_count() -> None:
    assert gates.few_negative_flips(evidence(0.0, 1000, negative_flips=90, positive_flips=80), SETTINGS).passed
    assert not gates.few_negative_flips(evidence(0.0, 1000, negative_flips=90, positive_flips=60), SETTINGS).passed


def test_a_jump_of_the_distrusted_share_is_flagged_and_a_lasting_share_is_not() -> None:
    assert gates.no_poisoning(5, 100, 0.0, SETTINGS).passed
    assert not gates.no_poisoning(30, 100, 0.0, SETTINGS).passed
    assert gates.no_poisoning(30, 100, 0.28, SETTINGS).passed


def test_outputs_that_are_not_finite_or_leave_the_unit_interval_do_not_pass() -> None:
    assert gates.finite_outputs(np.array([0.0, 1.0])).passed
    for wrong in (np.nan, np.inf, 1.1, -0.1):
        assert not gates.finite_outputs(np.array([0.5, wrong])).passed


def test_a_held_decision_lists_every_refusal_and_keeps_all_numbers() -> None:
    verdicts = [gates.Verdict(False, "a", {"x": 1.0}), gates.Verdict(True, "b", {"y": 2.0}), gates.Verdict(False, "c")]
    decision = gates.decide(verdicts)
    assert (decision.outcome, decision.reasons) == ("held", ("a", "c"))
    assert decision.numbers == {"x": 1.0, "y": 2.0}


def test_moments_add_up_to_the_moments_of_all() -> None:
    values = np.random.default_rng(0).random(200)
    both = Moments.of(values[:70]) + Moments.of(values[70:])
    assert abs(both.mean - values.mean()) < 1e-12
    assert abs(both.error - values.std(ddof=1) / np.sqrt(200)) < 1e-12
