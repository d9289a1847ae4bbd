"""Which items belong together: those of one user, thread or source, by the column that says so.

A sample of a group has the key ``"group"``; whatever divides items keeps those of one group on one side.

>>> grouped({"input": "a", "expected": "b", "metadata": {}}, 17)["group"]
'17'
>>> ["group" in grouped({"input": "a", "expected": "b", "metadata": {}}, empty) for empty in (" ", None, float("nan"))]
[False, False, False]
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from meta_learning.datasets.rows import is_missing
from meta_learning.errors import MalformedDataset


def grouped(sample: dict[str, Any], value: Any, row: int | None = None) -> dict[str, Any]:
    """``sample`` with its group; as it is where ``value`` is None, NaN or blank: then it stands for itself.

    Raises:
        MalformedDataset: ``value`` is no text and no number.
    """
    name = group_name(value, row)
    return {**sample, "group": name} if name else sample


def group_name(value: Any, row: int | None = None) -> str:
    """What a cell names; "" where there is nothing in it.

    Raises:
        MalformedDataset: ``value`` is no text and no number.
    """
    if is_missing(value):
        return ""
    if not isinstance(value, str | int | float):
        raise MalformedDataset(f"a group must be text or a number, not {type(value).__name__}", row=row)
    return str(value).strip()


def check_column(records: Iterable[Mapping[str, Any]], column: str, file: str) -> None:
    """Whether any of ``records`` has a group; lines of JSON may leave the key out.

    Raises:
        MalformedDataset: none has; the message lists the columns that there are.
    """
    present = dict[str, None]()
    for record in records:
        if group_name(record.get(column)):
            return
        present |= dict.fromkeys(record)
    if column in present:
        raise MalformedDataset(f"{column!r} is empty in every row: there is nothing to group by", file=file)
    said = f"no column {column!r} to group by; there are {', '.join(map(repr, present))}"
    raise MalformedDataset(said, file=file, lacks="group")


def group_of(sample: Mapping[str, Any]) -> str | None:
    """A name for a sample's group that tells nothing about it: results are shared more freely than users' names.

    >>> group_of({"group": "alice"}) == group_of({"group": "alice"}) != group_of({"group": "bob"}), group_of({})
    (True, None)
    """
    name = sample.get("group")
    return None if name is None else hashlib.sha256(str(name).encode("utf-8", errors="replace")).hexdigest()[:16]
