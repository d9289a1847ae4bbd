"""Writes the bundled samples anew: ``python -m tools.samples.make_samples [folder]``, from the phrases beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.samples import feedback, questions, tweets

HERE = Path(__file__).parent
PACKAGE_DATA = HERE.parent.parent / "shared" / "meta_learning" / "datasets" / "samples"


def write_samples(folder: Path) -> None:
    """Write every sample file into ``folder``."""
    made = {
        "feedback_sample.jsonl": feedback.make(HERE).encode(),
        "commonsense_qa_sample.jsonl": questions.make(HERE).encode(),
        "sentiment_sample.csv": tweets.make(HERE).encode("latin-1"),
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE_DATA)
