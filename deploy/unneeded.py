"""Print the installed packages that a service does not need: `python unneeded.py pyproject.toml 'meta-learning-loop[ingest]'`.

The lock holds the closure of everything; an image installs all of it by hash and then drops what its service does not use,
so that there is one lock and no second list to keep. The walk starts at the extras in pyproject.toml and follows the
packages' own metadata with this interpreter's markers. A requirement that is not installed was left out of the lock on
purpose and is not followed.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(roots: Iterable[str], project: Mapping[str, Any]) -> set[str]:
    """Canonical names of everything that ``roots`` need, themselves included; ``project`` is the table of pyproject.toml."""
    waiting = [Requirement(root) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key not in seen:
            seen.add(key)
            waiting.extend(_own(requirement, project) if key[0] == project["name"] else _declared(requirement))
    return {name for name, _ in seen}


def _own(requirement: Requirement, project: Mapping[str, Any]) -> list[Requirement]:
    extras = [text for extra in requirement.extras for text in project["optional-dependencies"][extra]]
    return [Requirement(text) for text in [*project["dependencies"], *extras]]


def _declared(requirement: Requirement) -> list[Requirement]:
    try:
        declared = [Requirement(text) for text in requires(requirement.name) or ()]
    except PackageNotFoundError:
        return []
    extras = requirement.extras or {""}
    return [
        child
        for child in declared
        if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def unneeded(roots: Iterable[str], project: Mapping[str, Any], installed: Iterable[str]) -> list[str]:
    """Those of ``installed`` that ``roots`` do not need, sorted; `pip` comes last, since it does the removing."""
    keep = needed(roots, project)
    return sorted(set(installed) - keep, key=lambda name: (name == "pip", name))


def installed_here() -> set[str]:
    """Canonical names of what this interpreter can import."""
    return {canonicalize_name(found.metadata["Name"]) for found in distributions()}


if __name__ == "__main__":
    pyproject = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join(unneeded(sys.argv[2:], pyproject["project"], installed_here())))
