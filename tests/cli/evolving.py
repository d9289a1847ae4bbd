"""`meta-learning evolve` as the tests ask for it: a small table, and what a run leaves behind."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from meta_learning.cli import app

PROMPT = "Say whether the text is good or bad. Answer with one word."
ITEMS = {
    f"text number {n} of a small collection": ("good", "bad")[hashlib.sha256(b"%d" % n).digest()[0] % 2]
    for n in range(90)
}
SIZE = ("--samples", "40", "--gate-samples", "50", "--calls", "400", "--iterations", "4")


def words(table: Path, url: str, *more: str) -> list[str]:
    data = ["evolve", str(table), "--input-column", "said", "--expected-column", "is", "--prompt", PROMPT]
    server = ["--provider", "openai", "--base-url", url, "--model", "any", "--data-folder", str(table.parent / "data")]
    return [*data, *server, *SIZE, *more]


def asked(*said: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(said))


def run_of(result: Any) -> Path:
    found = re.search(r"^run +\S+, in (\S+)$", result.output, re.M)
    assert found, result.output
    return Path(found[1])


def results_in(run: Path) -> dict[str, Any]:
    """What the run found. How long a call took is measured anew in every life, and the front rests on that."""

    def timeless(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: timeless(one) for name, one in value.items() if name != "latency_s"}
        return [timeless(one) for one in value] if isinstance(value, list) else value

    results: dict[str, Any] = timeless(json.loads((run / "report" / "results.json").read_text()))
    del results["front"]
    return results


def calls_of(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "report" / "calls.csv").read_text().splitlines()))
