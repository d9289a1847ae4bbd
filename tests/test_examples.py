"""Every example runs as it is, with no key, no network and no server, and says something worth reading."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples" / "meta_learning").glob("example_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs_as_it_is(path: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environment |= {"PYTHONPATH": str(ROOT / "shared"), "META_LEARNING_DATA_FOLDER": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) >= 5, ran.stdout


def test_there_is_an_example_for_each_loop() -> None:
    assert {"example_acla", "example_clrs", "example_comparison", "example_custom_dataset"} <= {
        path.stem for path in EXAMPLES
    }


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "studies").glob("*.toml")), ids=lambda path: path.stem)
def test_the_settings_of_a_study_are_what_its_command_takes(path: Path) -> None:
    from meta_learning.experiments import read_study
    from meta_learning.experiments.tuning import TuningConfig
    from meta_learning.experiments.tuning.asking_config import KIND, AskingConfig

    command = path.read_text(encoding="utf-8").partition("meta-learning ")[2]
    assert f"examples/studies/{path.name}" in command.partition("\n")[0]
    if f'kind = "{KIND}"' in path.read_text(encoding="utf-8"):
        assert AskingConfig.read(path).defaults()
        return
    config = TuningConfig.read(path) if command.startswith("tune") else read_study(path)
    assert config.cells()
