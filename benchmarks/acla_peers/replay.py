"""A small comparison out of recorded answers: no model, seconds; what a test runs, so that the harness stays whole.

    python -m benchmarks.acla_peers.replay tests/contract/acla_replay.json --url http://127.0.0.1:8765/v1 --record FILE

asks a server that has the model, and writes the answers down: digests of requests, and replies. The items
are the library's own sample. A search that needs it recorded anew asks other questions now:
`meta_learning.acla.store.RULES` is raised with it.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.acla_peers.arms import Cell
from benchmarks.acla_peers.cells import Bench
from benchmarks.llm_server.records import Records

TEST_COUNT, BUDGET, TOP_COUNT = 40, 150, 20
CELLS = [
    Cell("bundled", "random", 7, BUDGET, {"val_count": 24, "shots": [2]}),
    Cell("bundled", "ours", 7, BUDGET, {"max_iterations": 20}),
]
COLUMNS = "digest, text, prompt_tokens, completion_tokens, ended, first_tokens"


def kept(record: Path, tags: list[str]) -> list[list[Any]]:
    """The recordings that the calls of ``tags`` were answered with."""
    marks = ", ".join("?" * len(tags))
    asked = f"SELECT DISTINCT digest FROM calls WHERE tag IN ({marks})"
    with closing(sqlite3.connect(record)) as base:
        rows = base.execute(f"SELECT {COLUMNS} FROM recordings WHERE digest IN ({asked}) ORDER BY digest", tags)
        return [list(row) for row in rows]


def restore(file: Path, record: Path) -> None:
    """A file for ``--replay-only`` out of the committed answers."""
    said = json.loads(file.read_text(encoding="utf-8"))
    with closing(Records(record, said["model"])):
        pass
    with closing(sqlite3.connect(record)) as base, base:
        base.executemany(f"INSERT INTO recordings ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", said["recordings"])


def main() -> None:
    """Record."""
    said = argparse.ArgumentParser(description="Record the small comparison.")
    said.add_argument("file", type=Path)
    said.add_argument("--url", required=True)
    said.add_argument("--record", type=Path, required=True)
    asked = said.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Bench(Path(folder), asked.url, TEST_COUNT, at_once=2).run(CELLS)
    tags = [*(cell.name for cell in CELLS), "test:bundled:7"]
    with closing(sqlite3.connect(asked.record)) as base:
        [model] = base.execute("SELECT model FROM served").fetchone()
    recordings = kept(asked.record, tags)
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in recordings)
    asked.file.write_text(f'{{"model": {json.dumps(model)}, "recordings": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{len(recordings)} answers in {asked.file}")


if __name__ == "__main__":
    main()
