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
    window_cycles: int = 10  # prequential evidence since the last promotion that the gate looks back on
    holds_max: int = 5  # so many holds in a row of a candidate surely worse: it starts again from the champion
    z: float = 1.645  # of the gates' one-sided bounds: 5 %
    margin: float = 0.003  # Brier points that a candidate may lose at 1,000 pairs; scales with 1/sqrt(pairs)
    behaviour_max: float = 0.3  # Jensen-Shannon distance on the probe, unless the candidate is proven better
    negative_flips_max: float = 0.02  # share of judged items that the champion had right and the candidate has not
    negative_flips_from: int = 1000  # judged items from which that limit binds
    history_count_max: int = 50  # cycles kept in the summary

    def __post_init__(self) -> None:
        bounds = {
            "cycle_size": (2, 100_000),
            "probe_size": (1, 10_000),
            "drift_threshold": (0.0, 1.0),
            "alignment_threshold": (0.0, 1.0),
            "seed": (0, 2**32 - 1),
            "user_share_max": (1e-6, 1.0),
            "window_cycles": (1, 1000),
            "holds_max": (1, 10_000),
            "z": (0.0, 10.0),
            "margin": (0.0, 1.0),
            "behaviour_max": (0.0, 1.0),
            "negative_flips_max": (0.0, 1.0),
            "negative_flips_from": (1, 1_000_000),
            "history_count_max": (1, 10_000),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigurationError(f"{name} must lie in [{low}, {high}]")
