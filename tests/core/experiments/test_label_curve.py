"""A curve over the number of labels: every point is tested on the same items, and has the labels of the point before it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.datasets import Sentiment140Loader
from meta_learning.errors import CallerError, ConfigurationError
from meta_learning.experiments import StudyConfig
from meta_learning.experiments.cells import run_cell
from meta_learning.experiments.drawing_items import Wanted, draw
from meta_learning.experiments.report import report_of
from meta_learning.llm import Capabilities, Reply, Request
from meta_learning.llm.scripted import ScriptedLLM

GRID: dict[str, Any] = {
    "name": "labels",
    "datasets": [{"name": "sentiment140", "initial_prompt": "Judge the tweet."}],
    "strategies": ["static", "fine_tuning", "thresholds"],
    "seeds": [0, 1],
    "labels": [20, 60],
    "models": [{"provider": "openai", "model_name": "m"}],
    "sizes": {"sample_size": 60, "gate_samples": 30, "test_samples": 40, "flip_samples": 0},
}


def test_each_number_of_labels_is_a_point_and_a_prompt_that_needs_none_is_run_once() -> None:
    cells = StudyConfig.read(GRID).cells()
    assert [(cell.strategy, cell.labels) for cell in cells if cell.seed == 0] == [
        ("static", None),
        ("fine_tuning", 20),
        ("fine_tuning", 60),
        ("thresholds", 20),
        ("thresholds", 60),
    ]
    assert cells[1].label == "sentiment140 · fine_tuning · seed 0 · 20 labels"
    assert [cell.searched_counts for cell in cells[3:5]] == [(13, 7), (40, 20)]


def test_more_labels_than_there_are_items_to_learn_from_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="labels: 91 are more than sample_size and gate_samples together, 90"):
        StudyConfig.read({**GRID, "labels": [20, 91]})
    items = asyncio.run(draw(Sentiment140Loader(), Wanted(60, 30, 40), 0))
    with pytest.raises(
        CallerError, match="91 labelled items to learn from are wanted, and there are 90 besides the 40 to test on"
    ):
        items.labelled(91)
    assert items.labelled(20).pool == items.labelled(60).pool[:20]
    assert items.labelled(20).test == items.labelled(None).test == items.test


async def results() -> list[dict[str, Any]]:
    llm = ScriptedLLM(lambda request: "positive" if len(request.messages[-1].text) % 3 else "negative")
    llm.capabilities = Capabilities(label_logprobs=False, concurrency_max=2)
    return [await run_cell(cell, llm) for cell in StudyConfig.read(GRID).cells()]


def test_all_points_are_compared_on_the_same_items_and_the_search_takes_no_more_labels_than_it_has() -> None:
    found = asyncio.run(results())
    by_seed: dict[int, set[str]] = {0: set(), 1: set()}
    for one in found:
        by_seed[one["cell"]["seed"]].add(one["data"]["test"])
        if one["cell"]["strategy"] == "thresholds":
            assert one["made"]["items"]["search"] + one["made"]["items"]["gate"] <= one["cell"]["labels"]
    assert all(len(digests) == 1 for digests in by_seed.values())
    report = report_of(found)
    assert list(report["groups"]) == ["sentiment140 · m · 20 labels", "sentiment140 · m · 60 labels"]
    for group in report["groups"].values():
        assert [(arm["arm"], arm["seeds"]) for arm in group["arms"]] == [
            ("static", 2),
            ("fine_tuning", 2),
            ("thresholds", 2),
        ]
    curve = report["by_labels"]["sentiment140 · m"]
    assert [point["labels"] for point in curve["arms"]["fine_tuning"]] == [20, 60]
    static = curve["arms"]["static"]
    assert static[0]["score"] == static[1]["score"]
    assert [(one["labels"], one["arm"], one["against"]) for one in curve["paired"]][:2] == [
        (20, "static", "fine_tuning"),
        (20, "static", "thresholds"),
    ]
    assert len(curve["paired"]) == 6


def test_arms_that_need_no_labels_are_compared_once_and_count_once_in_the_correction() -> None:
    def result(strategy: str, right: int, labels: int | None = None) -> dict[str, Any]:
        predictions = [{"item": str(n), "score": float(n < right), "refused": None} for n in range(50)]
        cell = {"dataset": {"name": "d"}, "model": None, "strategy": strategy, "budget": None, "labels": labels}
        return {
            "cell": cell,
            "made": {"calls": 0},
            "evaluation": {"macro_f1": {"value": 0.5}},
            "predictions": predictions,
        }

    fixed = [result("static", 20), result("hand_written", 30)]
    curve = report_of([*fixed, *(result("fine_tuning", 25, labels) for labels in (25, 50, 100))])["by_labels"]["d"]
    compared = [(one["labels"], one["arm"], one["against"]) for one in curve["paired"]]
    assert [one for one in compared if "fine_tuning" not in one] == [(25, "static", "hand_written")]
    assert len(compared) == 7
    [alone] = [one for one in curve["paired"] if "fine_tuning" not in (one["arm"], one["against"])]
    assert alone["p_adjusted"] == pytest.approx(7 * alone["p_value"])


def test_the_command_shows_the_curve(tmp_path: Path) -> None:
    study = {**GRID, "strategies": ["fine_tuning"], "seeds": [0]}
    (tmp_path / "study.json").write_text(json.dumps(study))
    words = ["study", "run", str(tmp_path / "study.json"), "--data-folder", str(tmp_path)]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "sentiment140: score by the number of labels" in result.output
    assert "score by the number of labels: sentiment140" in next(tmp_path.rglob("report.html")).read_text()


def test_a_study_without_the_axis_has_no_curve() -> None:
    study = StudyConfig.read({name: said for name, said in GRID.items() if name != "labels"})
    assert {cell.labels for cell in study.cells()} == {None}
    assert "by_labels" not in report_of([])


def test_a_prompt_for_many_classes_is_searched_as_it_is_tested_however_few_items_are_labelled(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("input,expected\n" + "".join(f"text number {n},class {n % 9}\n" for n in range(120)))
    data = {"name": "many", "path": str(path), "input": "input", "expected": "expected", "initial_prompt": "Which?"}
    grid = {**GRID, "datasets": [data], "strategies": ["thresholds"], "seeds": [0], "labels": [24]}
    sizes = {"sample_size": 60, "gate_samples": 20, "test_samples": 30, "flip_samples": 0}

    def answer(request: Request) -> Reply:
        return Reply("class 0", "m", label_logprobs={label: -float(n) for n, label in enumerate(request.labels)})

    llm = ScriptedLLM(answer, capabilities=Capabilities(label_logprobs=True))
    [cell] = StudyConfig.read({**grid, "sizes": sizes}).cells()
    found = asyncio.run(run_cell(cell, llm))
    asked = {request.labels for request in llm.requests}
    assert asked == {tuple(f"class {n}" for n in range(9))}
    assert found["made"]["items"]["search"] < 3 * 9
