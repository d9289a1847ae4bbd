"""The README is true: its Python blocks run, its commands exist, its tree is the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)


@pytest.mark.parametrize("number", range(len(PYTHON_BLOCKS)))
def test_a_python_block_runs_as_it_stands(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(PYTHON_BLOCKS[number], f"README block {number}", "exec"), {"__name__": "__main__"})


def test_there_are_python_blocks() -> None:
    assert PYTHON_BLOCKS


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", README)) <= targets


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(((?!https?:|#)[^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []


def test_the_tree_of_the_readme_is_the_tree() -> None:
    """Each folder in the README's tree exists, at the place where its indentation puts it."""
    tree = next(block for block in re.findall(r"^```text\n(.*?)^```", README, re.M | re.S) if "├──" in block)
    path: list[str] = []
    for line in tree.splitlines():
        found = re.match(r"^((?:│   |    )*)(?:├──|└──) (\S+/)", line)
        if found:
            depth = len(found.group(1)) // 4
            path = [*path[:depth], found.group(2)]
            assert (ROOT / "".join(path)).is_dir(), "".join(path)
