"""Rows out of CSV, TSV and JSON-lines files, plain or gzipped, each with the number of the line that it starts on.

Line 1 is the first line of the file, header or not, so that the number in an error is the one an editor shows.
CSV is quoted as RFC 4180 says. TSV has no quoting at all: a quotation mark in it is text.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

from meta_learning.errors import CallerError, MalformedDataset, NotFound

LINE_BYTES_MAX = 1024 * 1024
HEADER_HINT = "is the first row a header?"
LINES_HINT = "write one object a line (.jsonl)"
_GZIP_MAGIC = b"\x1f\x8b"
_FORMATS: dict[str, Literal["csv", "tsv", "jsonl"]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


def format_of(path: Path) -> Literal["csv", "tsv", "jsonl"]:
    """The format that a file's name promises, with or without ``.gz``.

    >>> format_of(Path("scores.tsv.gz"))
    'tsv'

    Raises:
        CallerError: the name ends in none of the known ways.
    """
    ending = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    if ending.lower() not in _FORMATS:
        hint = "; write a JSON array as one object a line (.jsonl)" if ending.lower() == ".json" else ""
        raise CallerError(f"{path.name}: the name must end in one of {', '.join(_FORMATS)} (and .gz, if gzipped){hint}")
    return _FORMATS[ending.lower()]


def is_missing(value: Any) -> bool:
    """Whether a cell has nothing in it: null in JSON and Parquet, and NaN where a column of numbers has gaps.

    >>> [is_missing(value) for value in (None, float("nan"), 0, "")]
    [True, True, False, False]
    """
    return value is None or (isinstance(value, float) and math.isnan(value))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors about a row leave this block with the file's name."""
    try:
        yield
    except MalformedDataset as error:
        raise error.of_file(path.name) from None


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Every line with its number, its end-of-line kept (a quoted CSV field may run over several lines).

    Raises:
        NotFound: there is no such file.
        MalformedDataset: a line is not in this encoding, too long, or the gzip data is damaged.
    """
    with _opened(path) as file:
        number = 0
        while raw := _next_line(file, number + 1):
            number += 1
            yield number, _decoded(raw, number, encoding)


def read_csv(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, list[str]]]:
    """The cells of every row of a CSV file, whatever its name; blank lines are passed over.

    Raises:
        MalformedDataset: as `read_lines`, or a quote is opened and never closed.
    """
    # Python's own limit of 128 KiB is less than a long text; it is one for the whole process, and only ever raised here.
    csv.field_size_limit(max(csv.field_size_limit(), LINE_BYTES_MAX))
    lines = (line for _, line in read_lines(path, encoding))
    first = next(lines, "")
    delimiter = ";" if ";" in first and "," not in first else ","  # spreadsheets of half of Europe write semicolons
    reader = csv.reader(_with_first(first, lines), delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            hint = "; is a quotation mark opened and never closed?" if "field larger" in str(error) else ""
            raise MalformedDataset(f"is no valid CSV: {error}{hint}", row=start) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield start, cells


def read_delimited(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, list[str]]]:
    """The cells of every row of a CSV or TSV file; blank lines are passed over.

    Raises:
        MalformedDataset: as `read_lines`, or a quote is opened and never closed.
    """
    if format_of(path) == "tsv":
        for number, line in read_lines(path, encoding):
            if line.strip():
                yield number, line.rstrip("\r\n").split("\t")
        return
    yield from read_csv(path, encoding)


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The object on every line of a JSON-lines file; blank lines are passed over.

    Raises:
        MalformedDataset: as `read_lines`, or a line is no JSON object.
    """
    for number, line in read_lines(path):
        if line.strip():
            yield number, _parsed(line, number)


def read_table(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of any of the formats as name → value; CSV and TSV take the names from their first row.

    Raises:
        MalformedDataset: as `read_delimited` and `read_objects`, or a row has more or fewer cells than the header.
    """
    if format_of(path) == "jsonl":
        yield from read_objects(path)
        return
    header: list[str] | None = None
    for number, cells in read_delimited(path):
        if header is None:
            header = _checked_header(cells, number)
        elif len(cells) != len(header):
            raise MalformedDataset(f"has {len(cells)} columns where the header has {len(header)}", row=number)
        else:
            yield number, dict(zip(header, cells, strict=True))


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as probe:
            zipped = probe.read(2) == _GZIP_MAGIC
    except FileNotFoundError:
        raise NotFound(
            f"{path}: there is no such file; check the path, or leave it out to use a bundled sample"
        ) from None
    except OSError as error:
        raise CallerError(f"{path}: cannot be read: {error.strerror}") from None
    # gzip is told from its first bytes, not from the name: an unpacked file that kept its .gz is read all the same.
    with gzip.open(path, "rb") if zipped else path.open("rb") as file:
        yield file  # type: ignore[misc]  # GzipFile reads like any binary file, but is no IO[bytes] by its stub


def _next_line(file: IO[bytes], number: int) -> bytes:
    try:
        raw = file.readline(LINE_BYTES_MAX + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise MalformedDataset("the gzip data is damaged or cut off", row=number) from None
    if len(raw) > LINE_BYTES_MAX:
        raise MalformedDataset(f"is longer than {LINE_BYTES_MAX} bytes; is this a text file with lines?", row=number)
    return raw


def _decoded(raw: bytes, number: int, encoding: str) -> str:
    try:
        line = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise MalformedDataset(
            f"is not {encoding}: byte 0x{raw[error.start]:02x} at position {error.start}; save the file as UTF-8 text",
            row=number,
        ) from None
    if "\0" in line:
        raise MalformedDataset(
            "holds a NUL character, so this is UTF-16 or no text at all; save the file as UTF-8 text", row=number
        )
    return line.removeprefix("\ufeff") if number == 1 else line


def _with_first(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
        yield from rest


def _checked_header(cells: list[str], number: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise MalformedDataset(
            f"the header names {', '.join(map(repr, repeated))} more than once; {HEADER_HINT}", row=number
        )
    return names


def _parsed(line: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        hint = f"; {LINES_HINT}" if line.lstrip().startswith("[") else ""
        raise MalformedDataset(f"is no valid JSON: {error}{hint}", row=number) from None
    if not isinstance(value, dict):
        raise MalformedDataset(f"is a JSON {type(value).__name__}, not an object; {LINES_HINT}", row=number)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
