"""The model server (`benchmarks.llm_server`) for as long as a block runs, and no longer than the process that runs it.

The server is started through this file and reads its standard input, which the process holds open: that closes however the process
dies, also by SIGTERM or SIGKILL, where no `finally` runs, and then the server ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTING_S_MAX = 180.0


@contextmanager
def serving(
    recordings: Path, *, replay_only: bool = False, model: Path | None = None, threads_count: int = 1
) -> Iterator[str]:
    """The base URL of a server over ``recordings``; with ``replay_only`` no model is loaded, without ``model`` it is the packaged one.

    Raises:
        RuntimeError: it ended, or did not answer in time.
    """
    recordings.parent.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "benchmarks.acla_peers.serving",
        "--port",
        str(port),
        "--record",
        str(recordings),
        "--batch",
        "96",
        "--threads",
        str(threads_count),
        *(["--model", str(model)] if model else []),
        *(["--replay-only"] if replay_only else []),
    ]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "shared")))
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stdin=subprocess.PIPE) as server:
        try:
            _wait_for(server, f"http://127.0.0.1:{port}/v1/models")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(server: subprocess.Popen[bytes], address: str) -> None:
    until = time.monotonic() + STARTING_S_MAX
    while time.monotonic() < until:
        if server.poll() is not None:
            raise RuntimeError(f"the model server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the model server did not answer in time")


def _serve() -> None:
    from benchmarks.llm_server.__main__ import main

    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()


def _end_with_parent() -> None:
    # os.read, not sys.stdin: at exit the interpreter would wait for the lock of a buffered reader.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _serve()
