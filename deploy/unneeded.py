"""Print the installed packages that some requirements do not need: `python unneeded.py 'meta-learning-loop[ingest]'`.

The lock holds the closure of everything; an image installs all of it by hash and then drops what its service does not use,
so that there is one lock and no second list to keep. The walk follows the packages' own metadata, with this interpreter's
markers; a requirement that is not installed was left out of the lock on purpose and is not followed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(roots: Iterable[str]) -> set[str]:
    """Canonical names of everything that ``roots`` need, themselves included."""
    waiting = [Requirement(root) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key not in seen:
            seen.add(key)
            waiting.extend(_children(requirement))
    return {name for name, _ in seen}


def _children(requirement: Requirement) -> list[Requirement]:
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


def unneeded(roots: Iterable[str]) -> list[str]:
    """Names of the installed packages that ``roots`` do not need, sorted; `pip` comes last, since it does the removing."""
    keep = needed(roots)
    installed = {canonicalize_name(found.metadata["Name"]) for found in distributions()}
    return sorted(installed - keep, key=lambda name: (name == "pip", name))


if __name__ == "__main__":
    if missing := [
        root for root in sys.argv[1:] if Requirement(root).name not in {d.metadata["Name"] for d in distributions()}
    ]:
        sys.exit(f"not installed: {', '.join(missing)}")
    print("\n".join(unneeded(sys.argv[1:])))
