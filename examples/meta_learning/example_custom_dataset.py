"""A data set of your own, in three steps: from a list, from a table, and as feedback on its labels.

Run: python examples/meta_learning/example_custom_dataset.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from meta_learning.datasets import BaseDatasetLoader, Sample, TabularLoader, label_feedback
from meta_learning.errors import MalformedDataset

TICKETS = [
    ("The invoice shows the wrong amount.", "billing"),
    ("I cannot log in since this morning.", "access"),
    ("Please cancel my subscription.", "billing"),
    ("The page stays white after the update.", "bug"),
    ("My password link has expired.", "access"),
    ("The export button does nothing.", "bug"),
]


class TicketLoader(BaseDatasetLoader):
    """Two methods are enough; sampling by seed, laziness and errors are inherited."""

    name = "tickets"

    def load_data(self) -> Sequence[tuple[str, str]]:
        """All tickets; read a file or ask a database here."""
        return TICKETS

    def format_sample(self, sample: tuple[str, str]) -> Sample:
        """One ticket as a question with its answer."""
        text, team = sample
        return {"input": text, "expected": team, "metadata": {"length": len(text)}}


def main() -> None:
    tickets = TicketLoader()
    search = tickets.get_samples(4, seed=7)
    fresh = tickets.get_samples(6, seed=7)[4:]  # the longer draw starts with the shorter one
    print(f"{len(search)} tickets to search with, {len(fresh)} fresh ones to check on: {fresh[0]['input']}")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tickets.csv"
        path.write_text("text,team\n" + "".join(f"{text},{team}\n" for text, team in TICKETS), encoding="utf-8")
        table = TabularLoader(path, input="text", expected="team")
        print(f"the same from a table: {len(table)} rows")

        path.write_text("text,team\nfine,bug\ncut off in the middle of\n", encoding="utf-8")
        try:
            TabularLoader(path, input="text", expected="team").get_samples(1)
        except MalformedDataset as error:
            print(f"a damaged table says where: {error}")

    for row in list(label_feedback(tickets.get_samples(6), seed=1))[:2]:
        print(f"as feedback: {row.input_text} -> {row.output_text}: {row.feedback_score}")


if __name__ == "__main__":
    main()
