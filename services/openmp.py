"""llama.cpp wants the system's OpenMP runtime (libgomp.so.1), which slim images lack; scikit-learn's wheel brings one along."""

from __future__ import annotations

import ctypes.util
import importlib.util
import sys
from pathlib import Path


def library_path(folder: Path) -> str | None:
    """A folder for ``LD_LIBRARY_PATH`` in which libgomp.so.1 is scikit-learn's; None where the system has its own."""
    if sys.platform != "linux" or ctypes.util.find_library("gomp") is not None:
        return None
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        return None
    bundled = next((Path(spec.origin).parents[1] / "scikit_learn.libs").glob("libgomp-*.so*"), None)
    if bundled is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "libgomp.so.1"
    link.unlink(missing_ok=True)
    link.symlink_to(bundled)
    return str(folder.absolute())
