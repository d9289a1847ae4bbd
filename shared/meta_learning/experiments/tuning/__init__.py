"""Settings searched for by Optuna: each trial is cells of the same runner, judged afterwards on seeds that it never saw."""

from meta_learning.experiments.tuning.config import TuningConfig

__all__ = ["TuningConfig"]
