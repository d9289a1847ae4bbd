"""What a run shows fits into a terminal of 80 columns, and is not folded where it would be read as something else."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from meta_learning.acla.config import STRATEGIES
from meta_learning.acla.reporting import Row, Snapshot
from meta_learning.cli import app
from meta_learning.cli.evolve.screen import candidates, offered, show

SEED, OTHER = "b24fe9a6c50da2dd", "0123456789abcdef-c"


def drawn(table: Table, width: int = 80, terminal: bool = True) -> list[str]:
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=terminal, color_system=None), table)
    return file.getvalue().splitlines()


def moment(price_usd: float | None) -> Snapshot:
    def row(version: str, strategy: str, leads: bool) -> Row:
        return Row(version, strategy, 1, 35, 0.8, 0.641, 0.9, 0.029, 900, price_usd, leads)

    rows = (row(SEED, "seed", False), row(OTHER, "few_shot_optimization", True))
    return Snapshot(rows, 70, 70, 1800, price_usd, 3.0)


def front(price_usd: float | None) -> dict[str, Any]:
    def row(version: str, standing: str, decided: float | None) -> dict[str, Any]:
        known = {
            "decided_score": decided,
            "decided_low": 0.4,
            "decided_high": 1.0,
            "decided_items": 25 if decided else 0,
        }
        cost = {"tokens": 12345.6, "latency_s": 10.25, "price_usd": price_usd}
        expected = {"score": 0.618, "low": 0.5, "high": 0.7, "search_items": 55}
        return {"version": version, "standing": standing} | known | cost | expected

    rows = [row(SEED, "in use", 0.56), row(OTHER, "proven", 1.0), row(f"{SEED}+{OTHER}", "not proven", None)]
    return {"front": rows, "best_version": OTHER, "level": 0.8}


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("price_usd", [None, 0.0, 0.00012])
def test_both_tables_keep_every_row_on_one_line(price_usd: float | None, width: int) -> None:
    live, final = drawn(candidates(moment(price_usd)), width), drawn(offered(front(price_usd)), width)
    assert max(map(len, [*live, *final])) <= width
    assert not any("…" in line for line in [*live, *final])
    assert [line.split()[:5] for line in live if line.startswith("▸ 0")] == [
        ["▸", "01234567-c", "few_shot_optimization", "0.800", ".64–.90"]
    ]
    assert len([line for line in live if SEED[:8] in line]) == 1
    [taken] = [line for line in final if line.startswith("▸ 0")]
    assert taken.split()[1:8] == ["01234567-c", ".62", ".50–.70", "55", "1.00", ".40–1.00", "25"]
    assert taken.rstrip().endswith("proven")
    assert next(line.strip() for line in final if "not proven" in line).startswith("b24fe9a6+1 ")


def test_where_nothing_is_paid_no_column_says_so_and_items_are_called_items() -> None:
    free, paid = "\n".join(drawn(candidates(moment(0.0)))), "\n".join(drawn(candidates(moment(0.001))))
    assert "dollars" not in free
    assert "0.0010" in paid
    assert "items" in free
    assert "calls" not in free
    assert "1,000" not in "\n".join(drawn(offered(front(0.0))))
    assert "0.120" in "\n".join(drawn(offered(front(0.00012))))


def test_what_the_marker_means_is_said() -> None:
    assert any("▸ the best so far" in line for line in drawn(candidates(moment(0.0))))
    assert any("▸ taken" in line for line in drawn(offered(front(0.0))))


def test_on_a_pipe_no_line_ends_in_blanks() -> None:
    lines = drawn(offered(front(0.0)), 160, terminal=False)
    assert len(lines) > 4
    assert lines == [line.rstrip() for line in lines]


def test_the_help_groups_the_options_and_names_the_strategies() -> None:
    said = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, ["evolve", "--help"]).output
    headings = [line.split()[1] for line in said.splitlines() if line.startswith("╭─")]
    assert {"Data", "Prompt", "Budget", "Model", "Search", "Decision", "Run"} <= set(headings)
    flat = " ".join(said.replace("│", " ").split())
    for name in STRATEGIES:
        assert name in flat
    assert "For example: meta-learning evolve" in flat
    assert "INTEGER" not in said
    commands = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(app, ["--help"]).output
    assert commands.index("Experiments") < commands.index("evolve") < commands.index("A running system")
    assert commands.index("A running system") < commands.index("dead-letters")
