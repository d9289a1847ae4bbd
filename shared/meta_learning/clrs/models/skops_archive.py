"""skops archives in a canonical form: the same estimator gives the same bytes, in any process, now and after a restore.

skops names the members of its zip by the memory addresses of the objects and stamps them with the time of writing. Here
they are numbered in the order of the schema, undated and uncompressed; `skops.io` reads the result as it reads its own.
"""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from meta_learning.errors import MalformedState, UnsupportedEstimator

# skops trusts scikit-learn's public types by itself. Beyond those we trust only what holds numbers and runs no code of its own.
TRUSTED = frozenset(
    {
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    }
)


def pack(estimator: Any) -> bytes:
    """``estimator`` as a canonical archive.

    Raises:
        UnsupportedEstimator: it holds types that skops cannot save, or that are not on the trusted list.
    """
    io_of_skops, name = _skops_io(), type(estimator).__name__
    try:
        archive = io_of_skops.dumps(estimator)
        strange = sorted(set(io_of_skops.get_untrusted_types(data=archive)) - TRUSTED)
    except Exception as error:
        raise UnsupportedEstimator(f"{name} cannot be saved without pickle: {error}") from error
    if strange:
        raise UnsupportedEstimator(f"{name} holds types that are not trusted: {', '.join(strange)}")
    return _canonical(archive)


def unpack(archive: bytes) -> Any:
    """The estimator again.

    Raises:
        MalformedState: damaged, or it names types that are not on the trusted list.
    """
    try:
        return _skops_io().loads(archive, trusted=sorted(TRUSTED))
    except Exception as error:
        raise MalformedState(f"not a saved estimator: {error}") from error


def arrays(archive: bytes, count_min: int) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of fractions in ``archive`` that hold at least ``count_min`` numbers, by member."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        for name in source.namelist():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(source.read(name)), allow_pickle=False)
                if array.dtype.kind == "f" and array.size >= count_min:
                    found[name] = array
    return found


def with_arrays(archive: bytes, arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """``archive`` with other arrays in some members."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as result:
        for name in source.namelist():
            content = source.read(name)
            if name in arrays:
                member = io.BytesIO()
                np.save(member, arrays[name], allow_pickle=False)
                content = member.getvalue()
            result.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()


def _skops_io() -> Any:
    # Importing it walks through all of scikit-learn, which imports torch where that is installed: seconds, and only few need it.
    return importlib.import_module("skops.io")


def _canonical(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        schema = json.loads(source.read("schema.json"))
        files: dict[str, str] = {}
        _renumber(schema, {}, files)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as result:
            for old, new in files.items():
                result.writestr(zipfile.ZipInfo(new), source.read(old))
            result.writestr(zipfile.ZipInfo("schema.json"), json.dumps(schema))
    return target.getvalue()


def _renumber(node: Any, ids: dict[Any, int], files: dict[str, str]) -> None:
    """Number the nodes in order. Plain values get a number each: whether two equal constants share memory is chance."""
    if isinstance(node, list):
        for part in node:
            _renumber(part, ids, files)
    if not isinstance(node, dict):
        return
    if "__id__" in node:
        key = ("plain", len(ids)) if node.get("is_json") else node["__id__"]
        node["__id__"] = ids.setdefault(key, len(ids) + 1)
    if isinstance(node.get("file"), str):
        suffix = node["file"].rpartition(".")[2]
        node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.{suffix}")
    for part in node.values():
        _renumber(part, ids, files)
