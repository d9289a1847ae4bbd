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
from meta_learning.datasets.hub import PREFIX, HubLoader
from meta_learning.datasets.labelled import label_feedback
from meta_learning.datasets.parquet import ParquetLoader
from meta_learning.datasets.sentiment140 import Sentiment140Loader
from meta_learning.datasets.tabular import TabularLoader
from meta_learning.errors import NotFound

__all__ = [
    "BaseDatasetLoader",
    "CommonsenseQALoader",
    "FeedbackLoader",
    "FeedbackRow",
    "FeedbackRows",
    "HubLoader",
    "ParquetLoader",
    "Sample",
    "Sentiment140Loader",
    "TabularLoader",
    "label_feedback",
    "load",
    "open_dataset",
    "read_feedback",
]


NAMED: tuple[type[CommonsenseQALoader | Sentiment140Loader], ...] = (CommonsenseQALoader, Sentiment140Loader)


def load(name: str, path: str | Path | None = None, group: str | None = None) -> BaseDatasetLoader:
    """The data set of this name: ``"commonsense_qa"`` or ``"sentiment140"``, from ``path`` or the bundled sample.

    ``group``: what keeps items together, ``"concept"`` there and ``"user"`` here.

    Raises:
        NotFound: no data set has this name.
        CallerError: it has no such group.
    """
    loaders = {loader.name: loader for loader in NAMED}
    if name not in loaders:
        raise NotFound(f"there is no data set {name!r}; there are {', '.join(sorted(loaders))}")
    return loaders[name](path, group=group)


def open_dataset(
    where: str,
    *,
    input: str = "input",  # noqa: A002
    expected: str = "expected",
    group: str | None = None,
) -> BaseDatasetLoader:
    """The data set at ``where``: a name, a file (CSV, TSV, JSON lines, Parquet) with these columns, or ``hub:REPOSITORY``.

    ``group``: the column of the user, thread or source, all of whose items stay in one part of a split.

    >>> open_dataset("answers.parquet", input="question").columns
    ('question', 'expected')

    Raises:
        NotFound, CallerError: there is no such data set; what the file lacks is told when it is read.
    """
    if where in {loader.name for loader in NAMED}:
        return load(where, group=group)
    if where.startswith(PREFIX):
        return HubLoader.named(where, input=input, expected=expected, group=group)
    if "." not in Path(where).name:
        names = ", ".join(loader.name for loader in NAMED)
        raise NotFound(f"there is no data set {where!r}; give a file, hub:REPOSITORY, or one of {names}")
    kind = ParquetLoader if where.lower().endswith(".parquet") else TabularLoader
    return kind(where, input=input, expected=expected, group=group)
