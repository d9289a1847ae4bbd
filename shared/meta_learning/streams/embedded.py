"""`EmbeddedBroker`: a real server as a subprocess, for a machine that has nothing but Python.

It listens on a unix socket in its folder, keeps what it accepted as ``durability`` says, and survives its parent: the
next start adopts the server that still lives. A lock on the folder is handed down to the server, so that it is held
exactly as long as the server lives, whoever started it: two servers never write one folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Literal

from meta_learning.errors import BrokerUnavailable, ConfigurationError
from meta_learning.streams.server_binary import server_binary

Durability = Literal["memory", "everysec", "fsync"]
SOCKET_PATH_BYTES_MAX = 100  # the kernel's limit is 107, and macOS's 103
_SETTINGS: dict[Durability, dict[str, str]] = {
    "memory": {"appendonly": "no", "appendfsync": "no"},
    "everysec": {"appendonly": "yes", "appendfsync": "everysec"},
    "fsync": {"appendonly": "yes", "appendfsync": "always"},
}


def socket_path(folder: Path) -> Path:
    """Where the socket lies: in ``folder``, or in a short private folder when that path is too long for the kernel.

    >>> socket_path(Path("/data/broker")).as_posix()
    '/data/broker/broker.sock'
    """
    path = folder / "broker.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"meta-learning-{os.getuid()}-{digest}" / "broker.sock"


class EmbeddedBroker:
    """One server over one folder. Synchronous: it is started before any event loop, by whoever supervises processes.

    ``durability``: what an accepted event survives: ``memory`` nothing (it starts empty, whatever an earlier run kept),
    ``everysec`` the death of the server, and of a power cut all but the last second, ``fsync`` also a power cut.
    ``maxmemory``: a size such as ``256mb``, 0 for no limit; when it is full, writes are refused (nothing is evicted).
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        durability: Durability = "everysec",
        maxmemory: str = "0",
        binary: str | os.PathLike[str] | None = None,
    ) -> None:
        if durability not in _SETTINGS:
            raise ConfigurationError(f"durability is {durability!r}; it is one of {', '.join(_SETTINGS)}")
        self.folder = Path(folder).absolute()
        self.process: subprocess.Popen[bytes] | None = None  # None also while an adopted server runs
        self.pid: int | None = None
        self._settings = {**_SETTINGS[durability], "maxmemory": maxmemory, "maxmemory-policy": "noeviction", "save": ""}
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
        deadline = time.monotonic() + deadline_s
        for folder in (self.folder, self._socket.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._socket.parent.stat().st_uid != os.getuid():
            raise ConfigurationError(f"{self._socket.parent} belongs to another user")
        while (lock := self._try_lock()) is None:
            if self._adopt():
                return self.url
            self._pause_until(deadline, "the server that holds the folder does not answer")
        try:
            self._launch(lock)
        finally:
            os.close(lock)  # the server holds it now
        while not self._ask("PING").startswith("+PONG"):
            if not self.alive():
                raise BrokerUnavailable(f"the embedded broker stopped at once; its log ends with: {self._log_tail()}")
            self._pause_until(deadline, f"the embedded broker does not answer; its log ends with: {self._log_tail()}")
        return self.url

    def alive(self) -> bool:
        """Whether the server's process lives (it may still be loading, or hang: that is what `Log.ping` is for)."""
        if self.process is not None:
            return self.process.poll() is None
        if self.pid is None:
            return False
        lock = self._try_lock()
        if lock is not None:
            os.close(lock)
        return lock is None

    def stop(self, deadline_s: float = 20.0) -> None:
        """Ask the server to save and end, and wait for it; harmless when it does not run."""
        deadline = time.monotonic() + deadline_s
        if self.pid is not None and self.alive():
            os.kill(self.pid, signal.SIGTERM)
            while self.alive():
                self._pause_until(deadline, f"the embedded broker (process {self.pid}) does not end")
        self.process, self.pid = None, None

    def _launch(self, lock: int) -> None:
        if self._ask("PING"):
            raise ConfigurationError(f"a server that was not started here listens on {self._socket}")
        self._socket.unlink(missing_ok=True)
        flags = {"port": "0", "unixsocket": str(self._socket), "unixsocketperm": "700", "dir": str(self.folder)}
        # A crash may cut the last record of the file short: load what is whole (the server's default, said aloud).
        flags |= {"daemonize": "no", "aof-load-truncated": "yes", **self._settings}
        command = [str(server_binary(self._binary)), *(part for name in flags for part in (f"--{name}", flags[name]))]
        with (self.folder / "broker.log").open("ab") as log:
            # A session of its own: Ctrl-C reaches the services first, and the broker when they have finished with it.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock,), start_new_session=True
            )
        self.pid = self.process.pid

    def _adopt(self) -> bool:
        """Take over the server that holds the folder's lock, with this object's settings; False while it does not answer."""
        answer = self._ask("INFO server")
        pid = next((line[11:].strip() for line in answer.splitlines() if line.startswith("process_id:")), "")
        if not pid.isdigit():
            return False
        for name, value in self._settings.items():
            self._ask(f'CONFIG SET {name} "{value}"')
        if self.process is None or self.process.pid != int(pid):
            self.process, self.pid = None, int(pid)
        return True

    def _try_lock(self) -> int | None:
        """The folder's lock as a file descriptor; None while a server (or another starter) holds it."""
        lock = os.open(self.folder / "broker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _ask(self, command: str) -> str:
        """One inline command over the socket; "" when nobody answers."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2.0)
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\r\nQUIT\r\n".encode())
            with connection.makefile("rb") as answer:
                return answer.read().decode(errors="replace")
        return ""

    def _pause_until(self, deadline: float, complaint: str) -> None:
        if time.monotonic() > deadline:
            raise BrokerUnavailable(complaint)
        time.sleep(0.01)

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return " | ".join((self.folder / "broker.log").read_text(errors="replace").splitlines()[-3:])
        return "(no log)"
