"""A table of items, and a model at the end of a real HTTP path that knows their answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.evolving import ITEMS
from tests.services.evolver.loopback import Model, serving


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps({"said": text, "is": label}) + "\n" for text, label in ITEMS.items()))
    return path


@pytest.fixture
def model() -> Iterator[tuple[Model, str]]:
    known = Model(ITEMS)
    with serving(known) as url:
        yield known, url
