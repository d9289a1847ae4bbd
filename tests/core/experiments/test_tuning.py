"""A search for settings: the same trials whatever died, the default among them, and a judgement on seeds it never saw."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("optuna", reason="tuning is an extra")
from meta_learning.cli import app
from meta_learning.errors import ConfigurationError
from meta_learning.experiments.grid import GridCell
from meta_learning.experiments.tuning.config import TunedCell, TuningConfig
from meta_learning.experiments.tuning.searching import Tuning

SEARCH: dict[str, Any] = {
    "kind": "tuning",
    "name": "loops",
    "loop": {"texts": {"name": "sentiment140"}, "events": 400},
    "space": {"cycle_size": {"low": 20, "high": 200, "log": True}, "trust_slack": {"low": 0.0, "high": 1.0}},
    "trials": 12,
    "at_once": 2,
    "seeds": [0],
    "judge_seeds": [11, 12, 13],
}


class Hill:
    """A score that is best at a cycle size of 60; it dies (``alive`` cells on) as a process would."""

    def __init__(self, alive: int = 1000) -> None:
        self.alive, self.asked = alive, list[GridCell]()

    def run(self, cells: Iterable[GridCell], searches_folder: Path) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        for cell in cells:
            if len(self.asked) == self.alive:
                raise KeyboardInterrupt
            self.asked.append(cell)
            said = cell.model_dump()["settings"]
            if said["trust_slack"] > 0.9:
                yield cell, {"id": cell.id, "error": "CallerError: too trusting"}
                continue
            score = 1.0 - abs(said["cycle_size"] - 60) / 200 - 0.01 * cell.seed
            yield cell, {"id": cell.id, "numbers": {"accuracy_end": score}}


def trials(report: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["trial"], one["cycle_size"], one["trust_slack"], one["score"]) for one in report["trials"]]


def test_a_search_finds_the_hill_and_says_so_of_seeds_that_it_never_saw(tmp_path: Path) -> None:
    config, hill = TuningConfig.read(SEARCH), Hill()
    report = Tuning(config, tmp_path).run(hill)
    assert trials(report)[0][:3] == (0, 100, 0.05)  # the default is a trial like the others
    assert report["best"]["score"] > trials(report)[0][3]
    assert {cell.seed for cell in hill.asked[-6:]} == {11, 12, 13}
    assert report["gain"]["gain"] > 0
    assert report["gain"]["pairs_count"] == 3
    assert len(report["trials"]) + report["trials_failed"] == 12


@pytest.mark.parametrize("alive", [0, 1, 5, 9])
def test_a_search_that_was_cut_off_goes_on_with_the_same_trials(tmp_path: Path, alive: int) -> None:
    config = TuningConfig.read(SEARCH)
    unbroken = Tuning(config, tmp_path / "unbroken").run(Hill())
    with pytest.raises(KeyboardInterrupt):
        Tuning(config, tmp_path / "broken").run(Hill(alive))
    later = Hill()
    again = Tuning(config, tmp_path / "broken").run(later)
    assert trials(again) == trials(unbroken)
    assert len(later.asked) == len(Hill().asked) + 18 - alive  # no cell twice: 12 trials and 6 of the judgement


def test_a_real_loop_is_tuned_by_command_and_the_storage_holds_no_pickle(tmp_path: Path) -> None:
    small = {**SEARCH, "trials": 3, "judge_seeds": [11, 12], "loop": {**SEARCH["loop"], "events": 100}}
    (tmp_path / "tuning.json").write_text(json.dumps(small))
    asked = ["tune", str(tmp_path / "tuning.json"), "--data-folder", str(tmp_path)]
    result = CliRunner().invoke(app, asked, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert "gain of the best over the default there" in result.output
    journal = next(tmp_path.glob("tunings/*/trials.journal")).read_text()
    assert all(json.loads(line) for line in journal.splitlines())


def test_the_agent_that_evolves_prompts_is_tuned_by_the_same_search() -> None:
    said = {name: value for name, value in SEARCH.items() if name != "loop"}
    prompt = {"dataset": {"name": "sentiment140", "initial_prompt": "Judge."}}
    config = TuningConfig.read({**said, "prompt": prompt, "space": {"children_count": {"low": 1, "high": 5}}})
    (cell,) = config.trial_cells({"children_count": 2})
    assert isinstance(cell, TunedCell)
    assert (cell.search, cell.strategy, config.defaults()) == ({"children_count": 2}, "meta", {"children_count": 3})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"space": {"cycle_sice": {"low": 1, "high": 2}}}, "no setting 'cycle_sice'"),
        ({"space": {"cycle_size": {"low": 20}}}, "give low and high, or choices"),
        ({"space": {"cycle_size": {"choices": [50, 200]}}}, "choices of cycle_size must hold its default, 100"),
        ({"loop": None}, "give loop or prompt"),
        ({"judge_seeds": [0, 1]}, "judge_seeds must be others"),
    ],
)
def test_a_wrong_setting_of_a_search_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        TuningConfig.read({**SEARCH, **change})


def test_a_range_beyond_the_bounds_of_its_setting_is_refused_before_the_first_trial(tmp_path: Path) -> None:
    config = TuningConfig.read({**SEARCH, "space": {"cycle_size": {"low": 1, "high": 50}}})
    with pytest.raises(ConfigurationError, match="cycle_size must lie in"):
        Tuning(config, tmp_path)
