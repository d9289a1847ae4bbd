"""What can be set about one closed loop; every default works for text feedback in cycles of 100."""

from __future__ import annotations

from dataclasses import dataclass

from meta_learning.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """The numbers behind `ClosedLoopSystem`. Changing one for a running loop changes its later decisions, not its past.

    Raises:
        ConfigurationError: a value is out of its bounds; the message names it.

    >>> LoopSettings(cycle_size=50).probe_size
    200
    """

    cycle_size: int = 100  # pieces of feedback in a training cycle
    probe_size: int = 200  # the first so many pairs are asked again of every version, to see behaviour change
    drift_threshold: float = 0.3
    alignment_threshold: float = 0.7
    seed: int = 0
    user_share_max: float = 0.25  # of a cycle's training events that may come from one known user
    window_cycles: int = (
        40  # cycles after which a candidate that is neither proven nor refuted makes way for a newer one
    )
    beginner_cycles: int = (
        50  # for which a learner that began anew after an alarm may try to be better (0: none begins)
    )
    holds_max: int = (
        5  # so many holds in a row, and the last candidate surely worse: learning restarts from the champion
    )
    young_events: int = (
        1000  # feedback within which a champion with little skill yet is replaced by what learns, see `gating`
    )
    young_skill: float = (
        0.1  # share of the constant predictor's Brier score that a champion surely saves once it is grown up
    )
    z: float = 1.645  # of the one-sided bound that a first version must pass, and that is reported: 5 %
    margin: float = 0.05  # of the champion's Brier score: what a candidate may surely not lose
    gate_error: float = 0.05  # how often a candidate that loses just that passes, and one that loses nothing is refused
    segment_margin: float = 0.35  # the same of the champion's Brier score, in any one segment
    segment_events_min: int = 10  # events from which a segment is judged by itself
    behaviour_max: float = 0.3  # Jensen-Shannon distance on the probe, unless the candidate is proven better
    behaviour_cycles: int = (
        2  # in which that limit alone may hold a candidate before it makes way for a newer one; twice as many each time
    )
    negative_flips_max: float = 0.02  # share of judged items that became wrong, beyond those that became right
    negative_flips_from: int = 1000  # judged items from which that limit binds
    baking_cycles: int = 10  # for which the version before the last promotion is asked on, ready to take over again
    rollback_error: float = 0.01  # how often a champion that is not worse than that version is rolled back all the same
    control_cycles: int = 50  # for which one champion stays the frozen control arm
    perturb_cycles: int = 5  # every so many cycles the champion answers perturbed probe inputs
    perturb_size: int = 50  # probe items that are perturbed
    users_max: int = 2000  # users whose trust is remembered; the one heard of least recently is forgotten first
    trust_decay: float = 0.98  # what a user's earlier agreement weighs after one more piece of feedback
    trust_slack: float = 0.05  # agreement that a user may surely lack against the median user; 1 trusts everybody
    distrusted_jump_max: float = 0.1  # rise of the distrusted share over its running mean that no promotion survives
    replay_size: int = 0  # pieces of feedback kept to be learnt again (0: none)
    replay_share: float = 1.0  # old pieces learnt again for each new one, if any are kept
    history_count_max: int = 50  # cycles kept in the summary

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigurationError(f"{name} must lie in [{low}, {high}]")
            # Half a probe item would be noticed when the first cycle is full, and stop it.
            if isinstance(low, int) and not isinstance(value, int):
                raise ConfigurationError(f"{name} must be a whole number")


BOUNDS: dict[str, tuple[float, float]] = {
    "cycle_size": (2, 10_000),
    "probe_size": (1, 10_000),
    "drift_threshold": (0.0, 1.0),
    "alignment_threshold": (0.0, 1.0),
    "seed": (0, 2**32 - 1),
    "user_share_max": (1e-6, 1.0),
    "window_cycles": (1, 1000),
    "beginner_cycles": (0, 10_000),
    "holds_max": (1, 10_000),
    "young_events": (0, 1_000_000),
    "young_skill": (0.0, 1.0),
    "z": (0.0, 10.0),
    "margin": (1e-6, 1.0),
    "gate_error": (1e-6, 0.5),
    "segment_margin": (1e-6, 10.0),
    "segment_events_min": (2, 1_000_000),
    "behaviour_max": (0.0, 1.0),
    "behaviour_cycles": (1, 1000),
    "negative_flips_max": (0.0, 1.0),
    "negative_flips_from": (1, 1_000_000),
    "baking_cycles": (0, 10_000),
    "rollback_error": (1e-6, 0.5),
    "control_cycles": (1, 1_000_000),
    "perturb_cycles": (1, 1_000_000),
    "perturb_size": (0, 10_000),
    "users_max": (1, 1_000_000),
    "trust_decay": (0.5, 1.0),
    "trust_slack": (0.0, 1.0),
    "distrusted_jump_max": (0.0, 1.0),
    "replay_size": (0, 100_000),
    "replay_share": (0.0, 100.0),
    "history_count_max": (1, 10_000),
}
