"""Each gate passes what it should and says why it does not pass the rest."""

from __future__ import annotations

import numpy as np

from meta_learning.clrs.gating import gates
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


def test_an_equal_candidate_passes_and_a_worse_one_does_not() -> None:
    assert gates.not_inferior(gains(0.0, 100), gains(0.0, 100), SETTINGS).passed
    assert not gates.not_inferior(gains(-0.02, 100), gains(-0.02, 100), SETTINGS).passed


def test_the_margin_shrinks_with_the_root_of_the_pairs() -> None:
    small, large = (
        gates.not_inferior(gains(0.0, n), gains(0.0, 100), SETTINGS).numbers["gain_margin"] for n in (100, 400)
    )
    assert small == 2 * (large or 0)


def test_a_cycle_that_is_surely_worse_holds_a_candidate_with_a_good_past() -> None:
    verdict = gates.not_inferior(gains(0.02, 900), gains(-0.03, 100), SETTINGS)
    assert not verdict.passed
    assert "this cycle alone" in verdict.reason


def test_behaviour_that_moves_too_far_needs_proof_that_it_is_better() -> None:
    before, after = np.full(200, 0.1), np.full(200, 0.9)
    assert gates.behaviour_within(before, before, proven=False, limit=0.3).passed
    assert not gates.behaviour_within(before, after, proven=False, limit=0.3).passed
    assert gates.behaviour_within(before, after, proven=True, limit=0.3).passed


def test_the_limit_on_negative_flips_binds_only_from_a_thousand_items() -> None:
    assert gates.few_negative_flips(50, 999, SETTINGS).passed
    assert not gates.few_negative_flips(50, 1000, SETTINGS).passed
    assert gates.few_negative_flips(19, 1000, SETTINGS).passed


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
