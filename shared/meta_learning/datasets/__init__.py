"""Data sets: public ones from their official files, anybody's tables, live feedback, and bundled samples of each kind.

>>> load("sentiment140").get_samples(2, seed=1) == Sentiment140Loader().get_samples(2, seed=1)
True
"""

from __future__ import annotations

from pathlib import Path

from meta_learning.datasets.base import BaseDatasetLoader, Sample
from meta_learning.datasets.commonsense_qa import CommonsenseQALoader
from meta_learning.datasets.feedback import FeedbackLoader
from meta_learning.datasets.feedback_row import FeedbackRow
from meta_learning.datasets.files import FeedbackRows, read_feedback
from meta_learning.datasets.labelled import label_feedback
from meta_learning.datasets.sentiment140 import Sentiment140Loader
from meta_learning.datasets.tabular import TabularLoader
from meta_learning.errors import NotFound

__all__ = [
    "BaseDatasetLoader",
    "CommonsenseQALoader",
    "FeedbackLoader",
    "FeedbackRow",
    "FeedbackRows",
    "Sample",
    "Sentiment140Loader",
    "TabularLoader",
    "label_feedback",
    "load",
    "read_feedback",
]


def load(name: str, path: str | Path | None = None) -> BaseDatasetLoader:
    """The data set of this name: ``"commonsense_qa"`` or ``"sentiment140"``, from ``path`` or the bundled sample.

    Raises:
        NotFound: no data set has this name.
    """
    loaders = {loader.name: loader for loader in (CommonsenseQALoader, Sentiment140Loader)}
    if name not in loaders:
        raise NotFound(f"there is no data set {name!r}; there are {', '.join(sorted(loaders))}")
    return loaders[name](path)
