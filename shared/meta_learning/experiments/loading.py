"""The loader behind the name or the path that a study gives."""

from __future__ import annotations

from typing import Protocol

from meta_learning import datasets
from meta_learning.errors import CallerError


class Named(Protocol):
    """What names data: a data set, or a table with the names of its columns."""

    @property
    def name(self) -> str:
        """Of the data set."""

    @property
    def path(self) -> str | None:
        """A file instead of the bundled sample."""

    @property
    def input(self) -> str | None:
        """The column of what is asked."""

    @property
    def expected(self) -> str | None:
        """The column of the right answer."""


def dataset_of(named: Named) -> datasets.BaseDatasetLoader:
    """The loader of a data set; with groups where its settings name what makes them (streams of feedback have no parts to keep apart).

    Raises:
        NotFound: no data set, or no file, has this name.
        CallerError: columns are named, but no path is.
    """
    group: str | None = getattr(named, "group", None)
    if named.input is None and named.expected is None:
        return datasets.load(named.name, named.path, group)
    if named.path is None:
        raise CallerError(f"data set {named.name}: columns are named, but no path is")
    columns = {"input": named.input or "input", "expected": named.expected or "expected"}
    return datasets.open_dataset(named.path, **columns, group=group)
