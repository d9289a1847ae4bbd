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
    first = Hill(alive)
    with pytest.raises(KeyboardInterrupt):
        Tuning(config, tmp_path / "broken").run(first)
    later = Hill()
    again = Tuning(config, tmp_path / "broken").run(later)
    assert trials(again) == trials(unbroken)
    failed = sum(cell.model_dump()["settings"]["trust_slack"] > 0.9 for cell in first.asked)
    # No cell twice, but those that could not be run: 12 trials and 6 of the judgement.
    assert len(later.asked) == 18 - alive + failed


@pytest.mark.parametrize("kept", [0, 1, 40, 200, 333])
def test_a_search_that_was_killed_at_any_byte_of_its_trials_goes_on_with_the_same_ones(
    tmp_path: Path, kept: int
) -> None:
    config = TuningConfig.read(SEARCH)
    unbroken = Tuning(config, tmp_path / "unbroken").run(Hill())
    cut = Tuning(config, tmp_path / "cut")
    cut.run(Hill())
    path = cut.folder / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:kept])
    later = Hill()
    assert trials(cut.run(later)) == trials(unbroken)
    assert all(cell.model_dump()["settings"]["trust_slack"] > 0.9 for cell in later.asked)  # the others are on disk


class Broken:
    """Nothing can be run; with ``judging`` only nothing of the judgement."""

    def __init__(self, judging: bool = False) -> None:
        self.judging = judging

    def run(self, cells: Iterable[GridCell], searches_folder: Path) -> Iterator[tuple[GridCell, dict[str, Any]]]:
        hill = Hill()
        for cell in cells:
            if self.judging and cell.seed == 0:
                yield from hill.run([cell], searches_folder)
            else:
                yield cell, {"id": cell.id, "error": "LLMUnavailable: silent"}


def test_a_search_of_which_nothing_could_be_run_says_so_and_is_tried_again(tmp_path: Path) -> None:
    config = TuningConfig.read(SEARCH)
    report = Tuning(config, tmp_path).run(Broken())
    assert (report["best"], report["gain"], report["trials"], report["trials_failed"]) == (None, None, [], 12)
    assert {one["error"] for one in report["errors"]} == {"LLMUnavailable: silent"}
    assert json.loads((Path(report["folder"]) / "report.json").read_text())["trials_failed"] == 12
    mended = Tuning(config, tmp_path).run(Hill())
    assert trials(mended) == trials(Tuning(config, tmp_path / "unbroken").run(Hill()))


def test_the_command_says_why_nothing_could_be_run(tmp_path: Path) -> None:
    small = {**SEARCH, "trials": 2, "judge_seeds": [11], "loop": {"texts": {"name": "mine"}}}
    (tmp_path / "tuning.json").write_text(json.dumps(small))
    result = CliRunner().invoke(app, ["tune", str(tmp_path / "tuning.json"), "--data-folder", str(tmp_path)])
    assert result.exit_code == 1
    assert "none of 2 trials could be run" in result.output
    assert "there is no data set 'mine'" in result.output
    assert "Traceback" not in result.output


def test_a_judgement_that_could_not_be_run_claims_no_gain(tmp_path: Path) -> None:
    report = Tuning(TuningConfig.read(SEARCH), tmp_path).run(Broken(judging=True))
    assert report["best"]["score"] > 0.7
    assert (report["gain"]["gain"], report["gain"]["pairs_count"], report["gain"]["wins"]) == (None, 0, False)


@pytest.mark.parametrize("space", [{"low": 200, "high": 400}, {"choices": [20, 60]}])
def test_a_default_outside_the_space_is_the_first_trial_all_the_same(tmp_path: Path, space: dict[str, Any]) -> None:
    said = {**SEARCH, "space": {"trust_slack": {"low": 0.0, "high": 0.8}}, "trials": 6}
    said["space"]["cycle_size"] = space
    report = Tuning(TuningConfig.read(said), tmp_path).run(Hill())
    first, *others = (one["cycle_size"] for one in report["trials"])
    assert first == 100
    assert len(others) == 5
    assert set(others) <= set(space.get("choices", range(200, 401)))


def test_a_real_loop_is_tuned_by_command_and_the_storage_holds_no_pickle(tmp_path: Path) -> None:
    small = {**SEARCH, "trials": 3, "judge_seeds": [11, 12], "loop": {**SEARCH["loop"], "events": 100}}
    (tmp_path / "tuning.json").write_text(json.dumps(small))
    asked = ["tune", str(tmp_path / "tuning.json"), "--data-folder", str(tmp_path)]
    result = CliRunner().invoke(app, asked, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert "gain of the best over the default there" in result.output
    journal = next(tmp_path.glob("tunings/*/trials.jsonl")).read_text()
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
