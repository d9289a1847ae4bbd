"""What became of a prompt, line by line."""

from __future__ import annotations

from difflib import unified_diff


def difference(before: str, after: str) -> list[str]:
    """The lines of a unified diff with the whole prompt as context; nothing where the two are equal.

    >>> difference("Judge it.", "Judge it.\\nMind irony.")
    [' Judge it.', '+Mind irony.']
    >>> difference("same", "same")
    []
    """
    old, new = before.splitlines(), after.splitlines()
    return list(unified_diff(old, new, lineterm="", n=len(old) + len(new)))[3:]
