"""Sentiment140 (Go et al. 2009): tweets with the feeling they express, the official CSV of six columns in latin-1.

The columns are polarity, id, date, query, user, text, without a header. In the official training file all negatives
come first and are older than the positives, so a learner that reads it in order learns the date: samples are always
drawn in shuffled order.

>>> loader = Sentiment140Loader()
>>> sample = loader.get_samples(1)[0]
>>> sample["expected"] in {"negative", "positive"}
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from meta_learning.datasets.base import BaseDatasetLoader, Sample
from meta_learning.datasets.groups import grouped
from meta_learning.datasets.rows import naming, read_csv
from meta_learning.datasets.samples import SENTIMENT_SAMPLE
from meta_learning.errors import CallerError, MalformedDataset

LABELS = {"0": "negative", "2": "neutral", "4": "positive"}
COLUMNS_COUNT = 6


@dataclass(frozen=True, slots=True)
class Tweet:
    """One row; the user's name is for keeping their tweets together, and no task sees it."""

    row: int
    tweet_id: str
    label: str
    date: str
    text: str
    user: str = ""


class Sentiment140Loader(BaseDatasetLoader):
    """The tweets of an official file, or of the bundled sample; expected is ``"positive"`` or ``"negative"``.

    Neutral tweets (polarity 2) are only in the official test file. They are skipped, because the training file has
    none; ``neutral="keep"`` keeps them with the expected answer ``"neutral"``. ``group="user"``: the tweets of one user belong
    together.
    """

    name: ClassVar[str] = "sentiment140"

    def __init__(
        self, path: str | Path | None = None, *, neutral: Literal["skip", "keep"] = "skip", group: str | None = None
    ) -> None:
        if neutral not in ("skip", "keep"):
            raise CallerError(f"neutral must be 'skip' or 'keep', not {neutral!r}")
        self.path = SENTIMENT_SAMPLE if path is None else Path(path)
        if group not in (None, "user"):
            raise CallerError(f"{self.name}: the group can be 'user', not {group!r}")
        self.neutral, self.group = neutral, group

    def load_data(self) -> Sequence[Tweet]:
        """Read and check every row.

        Raises:
            NotFound: there is no such file.
            MalformedDataset: a row has not six columns, an unknown polarity or no text, or no row is left.
        """
        with naming(self.path):
            tweets = [parse_tweet(cells, row) for row, cells in read_csv(self.path, encoding="latin-1")]
        kept = [tweet for tweet in tweets if self.neutral == "keep" or tweet.label != "neutral"]
        if not kept:
            raise MalformedDataset(
                f"{self.path.name} is empty: it holds no tweet" + (" but neutral ones" if tweets else "")
            )
        return kept

    def format_sample(self, sample: Tweet) -> Sample:
        """One tweet, without its author unless tweets are grouped."""
        metadata = {"id": sample.tweet_id, "row": sample.row, "date": sample.date}
        found = {"input": sample.text, "expected": sample.label, "metadata": metadata}
        return found if self.group is None else grouped(found, sample.user, sample.row)


def parse_tweet(cells: list[str], row: int) -> Tweet:
    """One row of the official layout.

    >>> parse_tweet(["4", "7", "Mon Apr 06 22:19:45 PDT 2009", "NO_QUERY", "someone", "what a day"], row=1).label
    'positive'

    Raises:
        MalformedDataset: not six columns, a polarity other than 0, 2 and 4, or no text.
    """
    if len(cells) != COLUMNS_COUNT:
        raise MalformedDataset(
            f"has {len(cells)} columns, not the {COLUMNS_COUNT} official ones (polarity, id, date, query, user, text)",
            row=row,
        )
    polarity, tweet_id, date, _, user, text = cells
    if polarity not in LABELS:
        raise MalformedDataset(f"the polarity is {polarity!r}, not 0 (negative), 2 (neutral) or 4 (positive)", row=row)
    if not text.strip():
        raise MalformedDataset("the text is empty", row=row)
    return Tweet(row=row, tweet_id=tweet_id, label=LABELS[polarity], date=date, text=text, user=user)
