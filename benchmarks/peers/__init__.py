"""Other people's libraries, each in an environment of its own, so that their pins never meet ours or each other's.

A peer is two files in this folder: ``NAME.txt``, its pinned requirements, and a program that reads one JSON document on standard
input and writes one JSON document on standard output. `ask` makes the environment at its first use (``.venv-peers/NAME`` at the
root of the repository; it needs a package index) and runs the program in it, on one thread.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent / ".venv-peers"
# Many cells may ask for the same environment at once; it is made by the first.
_MAKING = threading.Lock()
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def environment(name: str) -> Path:
    """The Python of the peer's environment; made again when its requirements changed.

    Raises:
        subprocess.CalledProcessError: pip could not install the requirements; its output says why.
    """
    wanted, folder = HERE / f"{name}.txt", ROOT / name
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    with _MAKING:
        if not stamp.exists() or stamp.read_text() != digest:
            print(f"installing the peer {name} into {folder}", file=sys.stderr)
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run(
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted], check=True
            )
            stamp.write_text(digest)
    return python


def ask(name: str, program: str, question: Any, timeout_s: float = 3600.0) -> Any:
    """What ``program`` (a file of this folder) answers to ``question`` in the environment of the peer ``name``.

    Raises:
        subprocess.CalledProcessError: the program failed; its errors went to standard error.
    """
    done = subprocess.run(
        [environment(name), HERE / program],
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=timeout_s,
        env=os.environ | ONE_THREAD,
    )
    return json.loads(done.stdout)
