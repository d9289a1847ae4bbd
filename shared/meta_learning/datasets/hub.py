"""Any data set of the Hugging Face hub, or a local folder or file in one of its layouts; needs the extra ``hub`` (`datasets`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meta_learning.datasets.base import BaseDatasetLoader, Sample
from meta_learning.datasets.columns import check_two
from meta_learning.datasets.groups import check_column, grouped
from meta_learning.datasets.rows import is_missing
from meta_learning.errors import CallerError, ConfigurationError, MalformedDataset, NotFound, WorldError

PREFIX = "hub:"


class HubLoader(BaseDatasetLoader):
    """A split of ``repository``, with a question in one column and its right answer in another.

    ``HubLoader("stanfordnlp/imdb", input="text", expected="label", split="train")``; ``config`` chooses among a repository's
    data sets. Labels that are stored as numbers are told by their names. ``group``: the column of the user, thread or source.
    No code of the repository is run.
    """

    name = "hub"

    def __init__(
        self,
        repository: str,
        *,
        input: str = "input",  # noqa: A002 (the word of the contract)
        expected: str = "expected",
        split: str = "train",
        config: str | None = None,
        group: str | None = None,
    ) -> None:
        self.repository, self.split, self.config = repository, split, config
        self.columns = check_two(input, expected)
        self.group = group

    @classmethod
    def named(
        cls,
        said: str,
        *,
        input: str = "input",  # noqa: A002
        expected: str = "expected",
        group: str | None = None,
    ) -> HubLoader:
        """``hub:REPOSITORY``, ``hub:REPOSITORY:SPLIT`` or ``hub:REPOSITORY:SPLIT:CONFIG``, as a study names it.

        >>> loader = HubLoader.named("hub:nyu-mll/glue:validation:sst2", input="sentence", expected="label")
        >>> loader.repository, loader.split, loader.config
        ('nyu-mll/glue', 'validation', 'sst2')
        """
        repository, split, config = [*said.removeprefix(PREFIX).split(":"), "", ""][:3]
        if not repository:
            raise CallerError(
                f"{said!r} names no data set: write {PREFIX}REPOSITORY, with :SPLIT and :CONFIG where needed"
            )
        chosen = split or "train"
        return cls(repository, input=input, expected=expected, split=chosen, config=config or None, group=group)

    def load_data(self) -> Sequence[Any]:
        """Read the split, out of the local cache where it is there.

        Raises:
            ConfigurationError: the package `datasets` is not installed.
            NotFound: there is no such repository, split or folder.
            WorldError: the hub does not answer.
            MalformedDataset: a column is missing, or the split is empty.
        """
        rows: Any = self._loaded()
        present = getattr(rows, "column_names", [])
        for lacks, column in zip(("input", "expected", "group"), (*self.columns, self.group), strict=True):
            if column is not None and column not in present:
                raise MalformedDataset(
                    f"{self.repository} has no column {column!r}; there are {', '.join(map(repr, present))}",
                    lacks=lacks,
                )
        if not len(rows):
            raise MalformedDataset(f"{self.repository}: the split {self.split!r} is empty")
        if self.group is not None:
            check_column(({self.group: value} for value in rows[self.group]), self.group, self.repository)
        checked: Sequence[Any] = rows
        return checked

    def format_sample(self, sample: dict[str, Any]) -> Sample:
        """One row; plain columns besides the two become metadata.

        Raises:
            MalformedDataset: it has no question, or no answer, as splits without labels (−1).
        """
        asked, expected = self.columns
        for column in self.columns:
            if is_missing(sample[column]) or not str(sample[column]).strip():
                raise MalformedDataset(f"{self.repository}, split {self.split!r}: a row has nothing in {column!r}")
        rest = {name: value for name, value in sample.items() if isinstance(value, str | int | float)}
        found = {
            "input": str(sample[asked]),
            "expected": self._label(sample[expected]),
            "metadata": {name: value for name, value in rest.items() if name not in self.columns},
        }
        return found if self.group is None else grouped(found, sample[self.group])

    def _label(self, value: Any) -> str:
        feature = getattr(self._items, "features", {}).get(self.columns[1])
        names = getattr(feature, "names", None)
        if names and isinstance(value, int) and value < 0:
            said = f"a row of the split {self.split!r} has no label ({value} in {self.columns[1]!r}); choose one with labels"
            raise MalformedDataset(f"{self.repository}: {said}")
        return str(names[value] if names and isinstance(value, int) and value < len(names) else value)

    def _loaded(self) -> Any:
        try:
            import datasets
        except ImportError:
            raise ConfigurationError(
                "data sets of the hub need a package: pip install 'meta-learning-loop[hub]'"
            ) from None
        try:
            return datasets.load_dataset(self.repository, self.config, split=self.split)
        except (ConnectionError, TimeoutError) as error:
            raise WorldError(f"{self.repository}: the hub does not answer: {_first_line(error)}") from None
        except (FileNotFoundError, ValueError) as error:  # its own errors of names, configs and splits are of these
            raise NotFound(f"{self.repository}, split {self.split!r}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
