"""Small changes of a text that should not change what one thinks of it: deterministic, by name.

Invariance tests in the sense of CheckList (Ribeiro et al. 2020, arXiv 2005.04118).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

WORD = re.compile(r"\w+")
MARKS = re.compile(r"[^\w\s]+")


def typo(text: str) -> str:
    """Two neighbouring letters of the longest word in the wrong order.

    >>> typo("a lovely day")
    'a lovley day'
    """
    found = max(WORD.finditer(text), key=lambda match: len(match.group()), default=None)
    if found is None or len(found.group()) < 4:
        return text
    at = found.start() + len(found.group()) // 2
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def dropped_word(text: str) -> str:
    """One word left out; which one depends on the text alone, and texts of a single word stay.

    >>> dropped_word("a lovely warm day")
    'lovely warm day'
    """
    words = text.split()
    if len(words) < 2:
        return text
    out = zlib.crc32(text.encode()) % len(words)
    return " ".join(words[:out] + words[out + 1 :])


def other_case(text: str) -> str:
    """Capitals throughout, or none where there is nothing else.

    >>> other_case("Fine"), other_case("FINE")
    ('FINE', 'fine')
    """
    loud = text.upper()
    return text.lower() if loud == text else loud


def no_punctuation(text: str) -> str:
    """Without punctuation; a text that has none gets a full stop.

    >>> no_punctuation("Well, fine!"), no_punctuation("fine")
    ('Well fine', 'fine.')
    """
    bare = MARKS.sub("", text)
    return bare if bare != text else text + "."


PERTURBATIONS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"typo": typo, "dropped_word": dropped_word, "other_case": other_case, "no_punctuation": no_punctuation}
)
