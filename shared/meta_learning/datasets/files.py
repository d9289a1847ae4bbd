"""Feedback out of anybody's file: CSV, TSV or JSON lines (also gzipped) of input, output and score.

>>> from meta_learning.datasets.samples import FEEDBACK_SAMPLE
>>> rows = read_feedback(FEEDBACK_SAMPLE)
>>> rows.scale.describe().split(",")[0], rows.rows_count >= 2000
('scores from 0 (worst) to 1 (best)', True)
>>> 0 <= next(rows).feedback_score <= 1
True
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from meta_learning.datasets.columns import Columns, find_columns
from meta_learning.datasets.feedback_row import FeedbackRow, parse_row
from meta_learning.datasets.labelled import label_feedback
from meta_learning.datasets.rows import HEADER_HINT, format_of, naming, read_csv, read_table
from meta_learning.datasets.scales import Scale, ScaleChoice, Spread, declared
from meta_learning.datasets.sentiment140 import COLUMNS_COUNT, LABELS, Sentiment140Loader
from meta_learning.errors import CallerError, MalformedDataset


@dataclass(slots=True)
class FeedbackRows(Iterator[FeedbackRow]):
    """The rows of a file that was checked from end to end, one after the other, with what was understood of it."""

    rows: Iterator[FeedbackRow]
    rows_count: int
    scale: Scale
    source: str

    def __next__(self) -> FeedbackRow:
        return next(self.rows)

    def describe(self) -> str:
        """One sentence for a person to check before anything is sent."""
        return f"{self.rows_count:,} rows: {self.source}; {self.scale.describe()}"


def read_feedback(
    path: str | Path, *, scale: ScaleChoice = "auto", columns: Mapping[str, str] | None = None, seed: int = 0
) -> FeedbackRows:
    """Feedback from ``path``, scores in [0, 1]: the whole file is checked at once, then its rows come lazily, in order.

    The columns are found by their names (``input``, ``prompt``, ``question``, ``original`` … ; ``output``, ``answer``,
    ``translation`` … ; ``score``, ``rating``, ``mean``, ``label`` …), or declared as
    ``columns={"input": "text", "output": "reply", "score": "stars"}``. ``scale`` is ``"auto"``, ``"0-1"``, ``"0-100"``,
    ``"1-5"`` or ``(low, high)``. The official Sentiment140 layout has no such columns; it is recognised, and read as
    feedback on labels (`label_feedback`), shuffled by ``seed``.

    Raises:
        NotFound: there is no such file.
        CallerError: the file's name promises no known format, or the scale must be declared.
        MalformedDataset: a row is damaged, has no finite score, or one off the scale; the message names the file and the row.
    """
    path = Path(path)
    with naming(path):
        return _read(path, scale, columns, seed)


def _read(path: Path, scale: ScaleChoice, columns: Mapping[str, str] | None, seed: int) -> FeedbackRows:
    if columns is None and _is_sentiment140(path):
        return _tweets(path, seed)
    found = _columns(path, columns)
    fixed = None if scale == "auto" else declared(scale)
    spread = _checked(path, found, fixed)
    chosen = fixed or _detected(spread, path)
    return FeedbackRows(_scaled(path, found, chosen), spread.count, chosen, source=found.describe())


def _columns(path: Path, chosen: Mapping[str, str] | None) -> Columns:
    row, first = next(read_table(path), (None, None))
    if row is None or first is None:
        raise MalformedDataset(f"{path.name} is empty: it holds no row of data")
    if format_of(path) == "jsonl":
        return find_columns(first, chosen, row=row)
    return find_columns(first, chosen, row=1, hint=HEADER_HINT)


def _checked(path: Path, columns: Columns, scale: Scale | None) -> Spread:
    """The spread of all scores; every row is parsed, so that a bad one is found before the first is sent."""
    spread = Spread()
    for row, record in read_table(path):
        score = parse_row(record, columns, row).feedback_score
        if scale is not None and not scale.low <= score <= scale.high:
            raise MalformedDataset(
                f"the score {score:g} is off the scale from {scale.low:g} to {scale.high:g}", row=row
            )
        spread.see(score)
    return spread


def _detected(spread: Spread, path: Path) -> Scale:
    try:
        return spread.detect()
    except CallerError as error:
        raise CallerError(f"{path.name}: {error}") from None


def _scaled(path: Path, columns: Columns, scale: Scale) -> Iterator[FeedbackRow]:
    with naming(path):  # the file may have changed since it was checked
        for row, record in read_table(path):
            parsed = parse_row(record, columns, row)
            yield replace(parsed, feedback_score=scale.unit(parsed.feedback_score))


def _is_sentiment140(path: Path) -> bool:
    """Whether the first row has the official layout: six cells without a header, a polarity and a number in front."""
    if format_of(path) != "csv":
        return False
    _, cells = next(islice(read_csv(path, encoding="latin-1"), 1), (0, []))
    return len(cells) == COLUMNS_COUNT and cells[0] in LABELS and cells[1].isdigit()


def _tweets(path: Path, seed: int) -> FeedbackRows:
    loader = Sentiment140Loader(path)
    rows = label_feedback(loader.get_samples(len(loader), seed=seed), seed=seed)
    source = "Sentiment140's layout: input from the tweet, output a right or a wrong label, shuffled"
    return FeedbackRows(rows, len(loader), Scale(0.0, 1.0, how="1 where the label shown is the right one"), source)
