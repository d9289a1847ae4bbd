"""A data set out of a Parquet file, by the names of its columns; it needs the extra ``parquet`` (pyarrow)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meta_learning.datasets.tabular import TabularLoader
from meta_learning.errors import ConfigurationError, MalformedDataset


class ParquetLoader(TabularLoader):
    """Rows with a question in one column and its right answer in another, as `TabularLoader`; rows count from 1."""

    name = "parquet"

    def load_data(self) -> Sequence[tuple[int, dict[str, Any]]]:
        """Read and check every row.

        Raises:
            NotFound: there is no such file.
            ConfigurationError: pyarrow is not installed.
            MalformedDataset: the file is no Parquet, a row lacks a column, or there is none.
        """
        return self._read(enumerate(self._records(), start=1))

    def _records(self) -> list[dict[str, Any]]:
        self._check_path()
        try:
            from pyarrow import ArrowException, parquet
        except ImportError:
            raise ConfigurationError("Parquet files need a package: pip install pyarrow") from None
        try:
            records: list[dict[str, Any]] = parquet.read_table(self.path).to_pylist()
        except (ArrowException, OSError) as error:
            raise MalformedDataset(f"{self.path.name} is no Parquet file: {str(error)[:200]}") from None
        return records

    def _hint(self) -> str:
        return ""  # its columns have their names from nowhere else than the file's own schema
