"""Feedback-loop studies: simulated users with known preferences over real texts, and what a closed loop makes of them."""

from meta_learning.experiments.loops.config import LoopStudyConfig
from meta_learning.experiments.loops.following import Followed, follow
from meta_learning.experiments.loops.interactions import Interaction
from meta_learning.experiments.loops.users import Users

__all__ = ["Followed", "Interaction", "LoopStudyConfig", "Users", "follow"]
