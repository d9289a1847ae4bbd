"""Makes `sentiment_sample.csv` out of hand-written messages, in the official layout of Sentiment140.

Unlike there, both classes come mixed and over the same days, and the users are numbers.
"""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

POLARITY = {"+": "4", "-": "0"}
FIRST = datetime(2026, 1, 5, 7, 30, tzinfo=UTC)


def make(folder: Path, seed: int = 20260103) -> str:
    """The rows of the sample; encode them as latin-1."""
    lines = (folder / "sentiment_texts.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    draw = random.Random(seed)
    draw.shuffle(texts)
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for number, (sign, text) in enumerate(texts):
        time = FIRST + timedelta(minutes=37 * number)
        user = f"sample_user_{draw.randrange(60):02}"
        writer.writerow(
            [POLARITY[sign], 1_000_000 + number, f"{time:%a %b %d %H:%M:%S} UTC {time:%Y}", "NO_QUERY", user, text]
        )
    return out.getvalue()
