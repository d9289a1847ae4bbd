"""A Docker engine of the test's own, without a registry: started by hand in a network namespace, ended with the test.

The namespace has no way out and its own firewall, so nothing of the host changes but for files under the cache folder and, while
it runs, one named namespace. Images start from a Debian base made by debootstrap; packages come from a wheelhouse.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

CACHE = Path(os.environ.get("META_LEARNING_IMAGE_CACHE", Path(tempfile.gettempdir()) / "meta-learning-images"))
BASE_PACKAGES = "python3,python3-venv,ca-certificates,redis-server"
BASE_PYTHON = "3.11.2"  # of Debian 12; the lock has a package that only Pythons before 3.11.3 need
CLONE_NEWNET = 0x40000000
# Tiny images for what a registry would give: names of the official one over Debian's broker, and this machine's Prometheus.
BROKER = """
FROM base:bookworm
RUN ln -s /usr/bin/redis-server /usr/bin/valkey-server && ln -s /usr/bin/redis-cli /usr/bin/valkey-cli \
 && install -d -o 999 -g 1000 /data
VOLUME /data
"""
PROMETHEUS = """
FROM base:bookworm
COPY prometheus /bin/prometheus
RUN install -d -o 65534 -g 65534 /prometheus
USER 65534
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""


def missing() -> str | None:
    """Why no engine can be started here; None when one can be tried."""
    if os.geteuid() != 0:
        return "an engine of its own needs root"
    for tool, package in (("dockerd", "docker.io"), ("docker", "docker.io"), ("debootstrap", "debootstrap")):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian: {package})"
    for tool, package in (("iptables", "iptables"), ("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian: {package})"
    version = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False)
    if version.returncode:
        return "docker compose (version 2) is not installed"
    return None


class Engine:
    """dockerd over ``folder``; its published doors are reached through `inside`."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self._folder, self._namespace = folder, namespace
        self._socket = folder / "docker.sock"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self.environment = os.environ | {"DOCKER_HOST": f"unix://{self._socket}", "DOCKER_BUILDKIT": "0"}

    def start(self, deadline_s: float = 60.0) -> str | None:
        """Start the daemon; what it said last when it does not come up, else None."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _run(["ip", "netns", "add", self._namespace])
        where = ["nsenter", f"--net=/var/run/netns/{self._namespace}"]
        _run([*where, "ip", "link", "set", "lo", "up"])
        command = ["dockerd", "--data-root", str(CACHE / "engine"), "--exec-root", str(self._folder / "exec")]
        command += ["-H", f"unix://{self._socket}", "-p", str(self._folder / "dockerd.pid")]
        command += ["--default-ulimit", "nofile=1024:1024", "--default-ulimit", "nproc=1024:1024"]
        with (self._folder / "dockerd.log").open("wb") as log:
            self._daemon = subprocess.Popen([*where, *command], stdout=log, stderr=log, start_new_session=True)
        self._threads = ThreadPoolExecutor(1, initializer=_enter, initargs=(self._namespace,))
        deadline = time.monotonic() + deadline_s
        while subprocess.run(["docker", "version"], env=self.environment, capture_output=True, check=False).returncode:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                return (self._folder / "dockerd.log").read_text(errors="replace")[-600:]
            time.sleep(0.2)
        return None

    def stop(self) -> None:
        """End the daemon and take the namespace away."""
        if self._threads is not None:
            self._threads.shutdown()
        if self._daemon is not None:
            self._tidy()
            self._daemon.terminate()
            try:
                self._daemon.wait(60)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
        subprocess.run(["ip", "netns", "delete", self._namespace], check=False, capture_output=True)

    def _tidy(self) -> None:
        """What builds that were cut off left, and layers that no image of today uses: gigabytes with every change of the lock."""
        for what in (["container", "prune", "--force"], ["image", "prune", "--force", "--filter", "until=24h"]):
            subprocess.run(["docker", *what], env=self.environment, check=False, capture_output=True)

    def docker(self, *arguments: str, **options: Any) -> str:
        """Run the docker client; its output."""
        return _run(["docker", *arguments], env=self.environment, **options)

    def inside(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """``call(…)`` in a thread that lives in the engine's network namespace."""
        assert self._threads is not None
        return self._threads.submit(call, *arguments, **named).result()

    def import_base(self) -> None:
        """The image ``base:bookworm``, made once."""
        if self.docker("images", "-q", "base:bookworm"):
            return
        root = CACHE / "base"
        if not (root / "usr/bin/python3").exists():
            shutil.rmtree(root, ignore_errors=True)
            _run(["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm", str(root)])
        tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        self.docker("import", "-", "base:bookworm", stdin=tar.stdout)
        assert tar.wait() == 0

    def build_small(self, tag: str, dockerfile: str, files: Sequence[Path] = ()) -> None:
        """An image of a few lines over the base."""
        with tempfile.TemporaryDirectory() as context:
            for file in files:
                shutil.copy(file, context)
            (Path(context) / "Dockerfile").write_text(dockerfile, encoding="utf-8")
            self.docker("build", "--network", "none", "--quiet", "--tag", tag, context)


def wheelhouse(lock: Path) -> Path:
    """A folder with the wheels of ``lock`` for the base's Python, downloaded once."""
    folder = CACHE / "wheelhouse"
    wanted = folder / "requirements.txt"
    text = _for_base(lock.read_text(encoding="utf-8"))
    if not wanted.exists() or wanted.read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "asked.txt").write_text(text, encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        _run(
            [
                *pip,
                "--python-version",
                "3.11",
                "--only-binary",
                ":all:",
                "-r",
                str(folder / "asked.txt"),
                "-d",
                str(folder),
            ]
        )
        (folder / "asked.txt").rename(wanted)
    return folder


def _for_base(lock: str) -> str:
    """The lock's blocks that the base's Python takes, without markers: pip would judge those by its own Python."""
    world = {
        "python_full_version": BASE_PYTHON,
        "python_version": "3.11",
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    blocks: list[list[str]] = []
    for line in lock.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    kept = []
    for first, *rest in blocks:
        requirement = Requirement(first.rstrip(" \\"))
        if requirement.marker is None or requirement.marker.evaluate(world):
            kept += [f"{requirement.name}{requirement.specifier} \\", *rest]
    return "\n".join(kept) + "\n"


def _enter(namespace: str) -> None:
    with open(f"/var/run/netns/{namespace}") as place:
        if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def _run(command: Sequence[str], **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:] or done.stdout[-2000:]}")
    return str(done.stdout.strip())
