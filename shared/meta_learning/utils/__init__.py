"""What a researcher looks at: the logger of experiments, and their figures.

The folder knows nothing of the loops: it takes plain numbers and histories, from whoever has them.
"""

from meta_learning.utils.logger import ExperimentLogger
from meta_learning.utils.visualizer import MetaLearningVisualizer

__all__ = ["ExperimentLogger", "MetaLearningVisualizer"]
