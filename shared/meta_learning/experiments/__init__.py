"""The research desk: run experiments, judge what came of them, and compare arms on the same items.

`ExperimentRunner` runs one comparison or a grid; `evaluate` judges predictions; `compare` tests arms against each other.
"""

from meta_learning.experiments.comparator import Comparison, compare
from meta_learning.experiments.config import StudyConfig
from meta_learning.experiments.evaluator import evaluate
from meta_learning.experiments.kinds import read_study
from meta_learning.experiments.loops import LoopStudyConfig
from meta_learning.experiments.predictions import Prediction
from meta_learning.experiments.runner import ExperimentRunner

__all__ = [
    "Comparison",
    "ExperimentRunner",
    "LoopStudyConfig",
    "Prediction",
    "StudyConfig",
    "compare",
    "evaluate",
    "read_study",
]
