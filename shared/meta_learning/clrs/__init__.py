"""The closed loop: a model that learns from feedback, gates for its versions, and three scores that watch it.

`ClosedLoopSystem` is the whole loop in one process. The rest can be used alone: models (`OnlineTextModel`, `EstimatorModel`,
`EmbeddingModel`, `LanguageModel`),
gates, and the scores (`DriftDetector`, `AlignmentScorer`, `CoherenceAnalyzer`, together in `LoopMonitor`).
"""

from meta_learning.clrs.alignment_scorer import AlignmentScorer
from meta_learning.clrs.coherence_analyzer import CoherenceAnalyzer
from meta_learning.clrs.drift_detector import DriftDetector
from meta_learning.clrs.exchange import Exchange, exchange_of
from meta_learning.clrs.loop_monitor import LoopMonitor
from meta_learning.clrs.loop_state import Snapshot
from meta_learning.clrs.models.embedding.embedding_model import EmbeddingModel
from meta_learning.clrs.models.estimator_model import EstimatorModel
from meta_learning.clrs.models.language.language_model import LanguageModel
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.port import Model
from meta_learning.clrs.models.text_model import OnlineTextModel
from meta_learning.clrs.reinforcement_system import ClosedLoopSystem
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.summary import Summary

__all__ = [
    "AlignmentScorer",
    "ClosedLoopSystem",
    "CoherenceAnalyzer",
    "DriftDetector",
    "EmbeddingModel",
    "EstimatorModel",
    "Exchange",
    "LanguageModel",
    "LoopMonitor",
    "LoopSettings",
    "Model",
    "OnlineTextModel",
    "Snapshot",
    "Summary",
    "exchange_of",
    "load_model",
]
