"""The adaptive curriculum learning agent: rewrites a task prompt, and lets it take over only on fresh evidence."""

from meta_learning.acla.config import STRATEGIES, CurriculumConfig
from meta_learning.acla.curriculum_agent import AdaptiveCurriculumAgent
from meta_learning.acla.performance_tracker import PerformanceTracker
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.prompt_evolver import PromptEvolver
from meta_learning.acla.store import MemoryRunStore, RunStore

__all__ = [
    "STRATEGIES",
    "AdaptiveCurriculumAgent",
    "CurriculumConfig",
    "MemoryRunStore",
    "PerformanceTracker",
    "Prompt",
    "PromptEvolver",
    "RunStore",
]
