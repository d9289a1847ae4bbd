"""An analysis of strategies: who found the better prompt, how fast, and what of it holds on other inputs, data and models."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meta_learning.cli.study_tables import say
from meta_learning.errors import ConfigurationError
from meta_learning.experiments import ExperimentRunner, read_study
from meta_learning.experiments.cells import run_cell
from meta_learning.experiments.config import Cell
from meta_learning.experiments.grid import GridCell
from meta_learning.experiments.judging import JudgingCell, run_judging
from meta_learning.experiments.strategy_report import convergence, strategy_report
from meta_learning.experiments.strategy_study import ARMS, StrategyStudyConfig
from meta_learning.llm import Request
from meta_learning.llm.scripted import ScriptedLLM
from meta_learning.utils.dashboard_figures import figures_of

PROMPT = "Guess what the text is. Answer with one word: negative or positive."


def model() -> ScriptedLLM:
    """Right where the prompt mentions numbers and the text is not in capitals; only `error_analysis` proposes to mention them.

    Examples confuse it.
    """

    def answer(request: Request) -> str:
        said, asked = request.messages[0].text, request.messages[-1].text
        if request.purpose != "task":
            failed = any("went wrong" in one.text or "wrong" in one.text.casefold() for one in request.messages)
            return "```\nLook at the number in the text.\n```" if failed else "```\nBe brief.\n```"
        if len(request.messages) > 2:
            return "negative"
        if "number" not in said or "CASE" in asked:
            return "positive"
        digits = "".join(mark for mark in asked if mark.isdigit())
        return "positive" if int(digits or 0) % 3 else "negative"

    return ScriptedLLM(answer)


class Here:
    """Cells in this process, by a scripted model: the settings of a study cannot name one."""

    def __init__(self, told: list[GridCell]) -> None:
        self.told = told

    def run(self, cells: Iterable[GridCell], searches_folder: Path) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        for cell in cells:
            self.told.append(cell)
            if isinstance(cell, JudgingCell):
                yield cell, asyncio.run(run_judging(cell, model()))
            else:
                assert isinstance(cell, Cell)
                yield cell, asyncio.run(run_cell(cell, model()))


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    for name, first in (("numbers", 0), ("others", 1000)):
        rows = [f"case number {n},{'positive' if n % 3 else 'negative'}" for n in range(first, first + 300)]
        (tmp_path / f"{name}.csv").write_text("input,expected\n" + "\n".join(rows) + "\n")
    table = {"input": "input", "expected": "expected", "initial_prompt": PROMPT}
    return {
        "kind": "strategies",
        "name": "numbers",
        "datasets": [{"name": "numbers", "path": str(tmp_path / "numbers.csv"), **table}],
        "budgets": [250],
        "sizes": {"num_iterations": 3, "sample_size": 40, "gate_samples": 60, "test_samples": 60, "flip_samples": 2},
        "perturbations": ["other_case", "no_punctuation"],
        "transfer_datasets": [{"name": "others", "path": str(tmp_path / "others.csv"), **table}],
        "transfer_models": [{"provider": "openai", "model_name": "another", "base_url": "http://127.0.0.1:9/v1"}],
    }


def test_an_analysis_says_what_a_strategy_is_worth_and_where_its_prompt_holds(
    study: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[GridCell] = []
    report = ExperimentRunner(folder=tmp_path).run_study(study, Here(told))
    assert len(told) == len(ARMS) + 8  # two arms, each on two perturbations, another data set and another model
    group = report["groups"]["numbers · local"]
    scores = {arm["arm"]: arm["score"] for arm in group["arms"]}
    assert scores["meta @ 250"] > scores["static"]
    assert {one["arm"] for one in group["strategies"]} == {f"{arm} @ 250" for arm in ARMS if ":" in arm}
    by_arm = {one["arm"]: one for one in group["convergence"]}
    assert by_arm["meta @ 250"]["calls_to_best"] > 0
    assert 0 < by_arm["meta @ 250"]["area"] <= 1
    robust = {(one["arm"], one["perturbation"]): one for one in group["robustness"]}
    assert robust["meta @ 250, other_case", "other_case"]["loses"]  # the winning prompt does not hold for capitals
    assert robust["meta @ 250, no_punctuation", "no_punctuation"]["gain"] == 0.0
    assert robust["static, other_case", "other_case"]["gain"] == 0.0
    assert {one["where"]: one["wins"] for one in group["transfer"]} == {
        "others by local": True,
        "numbers by another": True,
    }
    say(report)
    assert "elsewhere (paired" in capsys.readouterr().out
    assert any(name == "best score by calls" for name, _ in figures_of(group))

    again: list[GridCell] = []
    assert ExperimentRunner(folder=tmp_path).run_study(study, Here(again)) == report
    assert again == []  # nothing twice


def test_what_is_judged_elsewhere_are_the_same_items(study: dict[str, Any], tmp_path: Path) -> None:
    cell = next(one for one in StrategyStudyConfig.read(study).cells() if one.strategy == "static")
    plain = asyncio.run(run_cell(cell, model()))
    later = StrategyStudyConfig.read(study).later([plain])
    typo = asyncio.run(run_judging(later[0], model()))
    assert [one["item"] for one in typo["predictions"]] == [one["item"] for one in plain["predictions"]]
    assert {one.where for one in later} == {"other_case", "no_punctuation", "others by local", "numbers by another"}


def test_an_arm_that_kept_the_first_prompt_converged_at_once() -> None:
    history = [
        {"iteration": n, "score": 0.5 + 0.1 * (n > 1), "calls": 10 * n, "prompt_version": "b" if n > 1 else "a"}
        for n in range(4)
    ]
    result = {
        "cell": {"strategy": "meta", "budget": None},
        "made": {"performance_history": history},
    }
    found = convergence("meta", [result])
    assert (found["iterations_to_best"], found["calls_to_best"], found["iterations"]) == (2, 20, 3)
    assert found["area"] == pytest.approx((0.5 + 0.5 + 0.6) / 3)
    assert strategy_report([])["groups"] == {}


def test_a_wrong_perturbation_is_named(study: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="'shouting' is none of typo"):
        read_study({**study, "perturbations": ["shouting"]})
