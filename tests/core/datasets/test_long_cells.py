"""Long texts in tables are read; a quotation mark that swallows the rest of a file is named."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from meta_learning.datasets import HubLoader, TabularLoader
from meta_learning.errors import CallerError, MalformedDataset

LONG = "word " * 40_000  # 200 kB; Python's csv stops at 128 KiB


@pytest.fixture(autouse=True)
def _as_python_begins() -> None:
    csv.field_size_limit(131_072)


def test_a_cell_of_200_kilobytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "letters.csv"
    path.write_text(f'input,expected\n"{LONG}",long\nshort,short\n')
    samples = TabularLoader(path).get_samples(2)
    assert sorted(len(sample["input"]) for sample in samples) == [5, len(LONG)]


def test_a_quotation_mark_that_is_never_closed_is_suspected_where_a_cell_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "letters.csv"
    path.write_text('input,expected\nfine,yes\n"never closed,no\n' + "one more line of text,yes\n" * 50_000)
    with pytest.raises(MalformedDataset, match=r"letters.csv, row 3: .*is a quotation mark opened and never closed\?"):
        TabularLoader(path).get_samples(1)


def test_a_limit_that_somebody_has_raised_further_stays(tmp_path: Path) -> None:
    csv.field_size_limit(10_000_000)
    path = tmp_path / "letters.csv"
    path.write_text("input,expected\na,b\n")
    assert len(TabularLoader(path)) == 1
    assert csv.field_size_limit() == 10_000_000


def test_question_and_answer_are_two_columns() -> None:
    with pytest.raises(CallerError, match="'text' is named as the column of the input and of the expected answer"):
        TabularLoader("letters.csv", input="text", expected="text")
    with pytest.raises(CallerError, match="they must be two"):
        HubLoader("somebody/letters", input="text", expected="text")
