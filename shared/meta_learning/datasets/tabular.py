"""A data set out of any CSV, TSV or JSON-lines file, by the names of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from meta_learning.datasets.base import BaseDatasetLoader, Sample
from meta_learning.datasets.columns import check_two
from meta_learning.datasets.groups import check_column, group_name, grouped
from meta_learning.datasets.rows import HEADER_HINT, format_of, is_missing, naming, read_table
from meta_learning.errors import MalformedDataset, NotFound


class TabularLoader(BaseDatasetLoader):
    """Rows with a question in one column and its right answer in another; the other columns become metadata.

    ``TabularLoader("sms_spam.tsv", input="SMS", expected="Label")`` reads a spam collection. Answers are text: a number
    or a truth value of a JSON line is written as JSON writes it. ``group``: the column of the user, thread or source that a row
    comes from; rows that leave it empty stand for themselves.

    Raises:
        CallerError: both columns are one.
    """

    name = "tabular"

    def __init__(
        self,
        path: str | Path,
        *,
        input: str = "input",  # noqa: A002 (the word of the contract)
        expected: str = "expected",
        group: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.columns = check_two(input, expected)
        self.group = group

    def load_data(self) -> Sequence[tuple[int, dict[str, Any]]]:
        """Read and check every row.

        Raises:
            NotFound: there is no such file.
            CallerError: the file's name promises no known format.
            MalformedDataset: a row is damaged, lacks a column, or the file is empty.
        """
        self._check_path()
        return self._read(read_table(self.path))

    def format_sample(self, sample: tuple[int, dict[str, Any]]) -> Sample:
        """One row; ``metadata["row"]`` is the line it starts on."""
        row, record = sample
        asked, expected = self.columns
        rest = {name: value for name, value in record.items() if name not in self.columns}
        found = {"input": record[asked], "expected": record[expected], "metadata": {"row": row, **rest}}
        return found if self.group is None else grouped(found, record.get(self.group), row)

    def _check_path(self) -> None:
        # Named here: a reader of files in general says that a bundled sample can be had instead, which no table can.
        if not self.path.exists():
            raise NotFound(f"{self.path}: there is no such file; check the path")

    def _read(self, records: Iterable[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
        with naming(self.path):
            rows = [(row, self._checked(record, row)) for row, record in records]
        if not rows:
            raise MalformedDataset(f"{self.path.name} is empty: it holds no row of data")
        if self.group is not None:
            check_column((record for _, record in rows), self.group, self.path.name)
        return rows

    def _checked(self, record: dict[str, Any], row: int) -> dict[str, Any]:
        texts = {name: self._text(record, name, row) for name in self.columns}
        if self.group is not None:
            group_name(record.get(self.group), row)
        return {**record, **texts}

    def _text(self, record: dict[str, Any], name: str, row: int) -> str:
        if name not in record:
            said = f"has no column {name!r}; there are {', '.join(map(repr, record))}{self._hint()}"
            raise MalformedDataset(said, row=row, lacks="input" if name == self.columns[0] else "expected")
        value = "" if is_missing(record[name]) else record[name]
        if not isinstance(value, str | int | float):
            raise MalformedDataset(f"{name!r} must be text or a number, not {type(value).__name__}", row=row)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not text.strip():
            raise MalformedDataset(f"{name!r} is empty", row=row)
        return text

    def _hint(self) -> str:
        return "" if format_of(self.path) == "jsonl" else f"; {HEADER_HINT}"
