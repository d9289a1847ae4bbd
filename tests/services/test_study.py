"""A study of simulated users through the real services: the same feedback, versions, scores and numbers as in process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meta_learning.cli import app
from meta_learning.errors import CallerError, ConfigurationError, WorldError
from meta_learning.experiments import ExperimentRunner, read_study
from meta_learning.experiments.cell_process import run_encoded
from meta_learning.experiments.loops.cell import run_loop_cell
from meta_learning.experiments.loops.config import LoopStudyConfig
from meta_learning.experiments.loops.served import Doors
from meta_learning.experiments.loops.system import doors_open
from tests.services.test_all_in_one import free_ports

STUDY: dict[str, Any] = {
    "kind": "feedback_loop",
    "name": "served",
    "texts": [{"name": "sentiment140"}],
    "users": ["drifting"],
    "answers": ["one", "chosen"],
    "events": 120,
    "settings": {"cycle_size": 20},
    "services": True,
}
NOBODY = "http://127.0.0.1:{},http://127.0.0.1:{}"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_study_through_the_services_comes_out_as_in_process(tmp_path: Path) -> None:
    report = ExperimentRunner(folder=tmp_path).run_study(STUDY)
    assert report["errors"] == []
    assert (report["services"]["agreeing"], report["services"]["cells"]) == (2, 2)
    assert (report["services"]["questions"], report["services"]["cycles"]) == (240, 12)
    assert not list(Path(report["folder"]).glob("services.json"))
    cells = [json.loads(path.read_bytes()) for path in Path(report["folder"]).glob("cells/*.json")]
    (shown,) = [one for one in cells if one["cell"]["answers"] == "one"]
    (cell,) = LoopStudyConfig.read({**STUDY, "services": False, "answers": ["one"]}).cells()
    here = run_loop_cell(cell)
    assert {name: shown[name] for name in here if name not in ("id", "cell")} == {
        name: value for name, value in here.items() if name not in ("id", "cell")
    }
    # Done cells are not run again, and nothing is started for them.
    again = ExperimentRunner(folder=tmp_path).run_study(STUDY, services=NOBODY.format(*free_ports(2)))
    assert again == report


def test_a_service_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="ingest does not answer at http"):
        ExperimentRunner(folder=tmp_path).run_study(STUDY, services=NOBODY.format(*free_ports(2)))


def test_a_system_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(WorldError, match=r"did not start: .*CYCLE_SIZE"),
        doors_open(tmp_path, {"cycle_size": 5}),  # a loop may be so small, a trainer's not
    ):
        raise AssertionError("it started")


def test_a_cell_that_a_queue_took_elsewhere_says_that_it_needs_the_services(tmp_path: Path) -> None:
    cell = read_study(STUDY).cells()[0]
    for folder in (None, str(tmp_path)):
        assert "goes through the services" in json.loads(run_encoded(cell.model_dump_json(), folder))["error"]


def test_what_the_services_cannot_be_told_is_refused_before_they_are_asked() -> None:
    with pytest.raises(ConfigurationError, match="through the services probe_size cannot be set"):
        read_study({**STUDY, "settings": {"probe_size": 20}})
    with pytest.raises(CallerError, match="is no address"):
        Doors.at("localhost:8001")


def test_a_study_of_an_earlier_release_keeps_its_folder_and_its_cells() -> None:
    config = read_study({"kind": "feedback_loop", "name": "loops", "texts": [{"name": "sentiment140"}]})
    assert (config.id, config.cells()[0].id) == ("loops-3136f12b6c", "f0ddeddf1bc3ee9705b01c7e")
    assert read_study({**STUDY, "services": False}).id != read_study(STUDY).id


def test_only_studies_of_loops_go_through_the_services(tmp_path: Path) -> None:
    prompts = {
        "name": "p",
        "datasets": [{"name": "sentiment140", "initial_prompt": "Judge."}],
        "strategies": ["static"],
    }
    (tmp_path / "study.json").write_text(json.dumps(prompts))
    result = CliRunner().invoke(app, ["study", "run", str(tmp_path / "study.json"), "--services", "own"])
    assert result.exit_code != 0
    assert "--services is for studies of feedback loops" in result.output


def test_a_study_through_the_services_is_not_put_on_a_queue(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps(STUDY))
    words = ["study", "run", str(tmp_path / "study.json"), "--redis-url", "redis://127.0.0.1:1/0"]
    result = CliRunner().invoke(app, [*words, "--data-folder", str(tmp_path)])
    assert (result.exit_code, "do not reach the services" in result.output) == (1, True)
