"""The house rules as code. Each has its reason; an exception is written beside the rule."""

from __future__ import annotations

import ast
import re
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = [path for folder in ("shared/meta_learning", "services") for path in sorted((ROOT / folder).rglob("*.py"))]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
ARGUMENTS_MAX = 6
# The public contract fixes these signatures: users give the arguments by name. Those of the last two are a command's options.
MANY_ARGUMENTS = {"__init__", "run_comparison_study", "collect_feedback", "evolve", "feedback"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring: prose does not make a function hard to follow."""
    first = node.body[0]
    prose = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) else 0
    return (node.end_lineno or 0) - node.lineno + 1 - prose


@pytest.mark.parametrize("path", CODE, ids=relative)
def test_a_file_has_one_idea(path: Path) -> None:
    """A file above 400 lines holds a second idea."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


@pytest.mark.parametrize("path", CODE, ids=relative)
def test_functions_are_short_and_take_few_arguments(path: Path) -> None:
    """Above 50 lines, or 6 arguments, a reader loses the thread."""
    for node in functions(path):
        assert length(node) <= FUNCTION_LINES_MAX, f"{node.name} has {length(node)} lines"
        arguments = [
            a.arg for a in node.args.posonlyargs + node.args.args + node.args.kwonlyargs if a.arg not in {"self", "cls"}
        ]
        assert len(arguments) <= ARGUMENTS_MAX or node.name in MANY_ARGUMENTS, f"{node.name} takes {arguments}"


def test_most_files_are_small() -> None:
    """The median tells whether the house as a whole stays readable."""
    assert statistics.median(len(path.read_text(encoding="utf-8").splitlines()) for path in CODE) <= 160


def test_nothing_is_unpickled() -> None:
    """Whoever can write to the broker or the store must not thereby run code here."""
    loading = re.compile(
        r"\b(pickle|joblib|dill|cloudpickle)\.(load|loads)\b|^\s*import (pickle|joblib|dill|cloudpickle)", re.M
    )
    assert [relative(path) for path in CODE if loading.search(path.read_text(encoding="utf-8"))] == []


def test_only_programs_read_the_environment() -> None:
    """Settings are read once, in a `__main__`, and passed on as plain values."""
    allowed = {
        "shared/meta_learning/serving/settings.py",  # the one place where settings are read
        "shared/meta_learning/cli/printing.py",  # the width of the screen
        "shared/meta_learning/llm/wrapping.py",  # keys of the SDKs, in the names that the SDKs gave them
        "shared/meta_learning/experiments/loops/system.py",  # the programs that a study starts get the environment of this one
        "services/programs.py",
    }
    reading = re.compile(r"\bos\.(environ|getenv)\b")
    found = {relative(path) for path in CODE if reading.search(path.read_text(encoding="utf-8"))}
    assert {path for path in found if not path.endswith("__main__.py")} <= allowed


def test_files_are_named_by_what_they_hold() -> None:
    """`manager`, `helper` and `common` say nothing; a name should."""
    empty = re.compile(r"(manager|helper|common|misc|util)s?\.py$")
    assert [relative(path) for path in CODE if empty.search(path.name)] == []


def tracked() -> list[str]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_addresses_of_downloads_are_committed() -> None:
    """A lock file that holds download addresses ties the project to one registry."""
    names = tracked()
    assert not [
        name for name in names if Path(name).name in {"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json"}
    ]
    assert not re.search(r"https?://", (ROOT / "requirements.lock").read_text(encoding="utf-8"))


def test_the_readme_names_every_make_target() -> None:
    """`make help` and the README must not tell two stories."""
    targets = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [target for target in targets if f"make {target}" not in readme] == []
