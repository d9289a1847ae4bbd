"""Two processes learn together what one learns alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meta_learning.clrs.models.language.language_model import LanguageModel
from meta_learning.clrs.models.language.replicas import JoinedReplicas
from meta_learning.errors import ConfigurationError
from tests.core.clrs.tiny_language import NEEDED, tiny_base

torch = pytest.importorskip("torch", reason=NEEDED)
ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_of_torchrun_learn_what_one_learns_alone(tmp_path: Path) -> None:
    if not torch.distributed.is_available():
        pytest.skip("this build of torch has no distributed package")
    from tests.core.clrs.test_language_labels import SETTINGS as AMONG_LABELS
    from tests.core.clrs.test_language_model import SETTINGS, lessons

    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    program = ["--nproc-per-node=2", "-m", "tests.core.clrs.joined_learning", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'shared'}", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        launcher + program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    for name, settings in {"free": SETTINGS, "labels": AMONG_LABELS}.items():
        first, second = (np.load(tmp_path / f"{name}{rank}.npz") for rank in (0, 1))
        assert str(first["version"]) == str(second["version"])
        alone = LanguageModel(tiny_base(), settings)
        for cycle in range(3):
            alone.learn(*lessons(40, cycle))
        expected = alone.predict(lessons(21, 9)[0])
        assert np.ptp(expected) > 0.1
        # The same batches in other sums: the last bits of float32 differ, and Adam carries them on.
        assert first["scores"] == pytest.approx(expected, abs=1e-3)


def test_without_a_launcher_there_is_nothing_to_join() -> None:
    with pytest.raises(ConfigurationError, match="torchrun"):
        JoinedReplicas()
