"""Cells that are asked together, from code that an event loop runs, as in a notebook."""

from __future__ import annotations

from pathlib import Path

from meta_learning.experiments import StudyConfig
from meta_learning.experiments.workers import OneProcess

STUDY = {
    "name": "tweets",
    "datasets": [{"name": "sentiment140", "initial_prompt": "Judge the tweet."}],
    "strategies": ["fine_tuning"],
    "seeds": [0, 1, 2],
    "sizes": {"sample_size": 20, "gate_samples": 10, "test_samples": 20},
}


async def test_cells_run_together_in_a_thread_that_has_a_loop_already(tmp_path: Path) -> None:
    cells = StudyConfig.read(STUDY).cells()
    found = list(OneProcess(at_once=2, together=lambda cell: True).run(cells, tmp_path))
    assert {cell.id for cell, _ in found} == {cell.id for cell in cells}
    assert [result for _, result in found if "error" in result] == []


async def test_a_study_that_is_left_in_the_middle_ends_where_it_ran(tmp_path: Path) -> None:
    results = OneProcess(at_once=2, together=lambda cell: True).run(StudyConfig.read(STUDY).cells(), tmp_path)
    assert "error" not in next(results)[1]
    results.close()
