"""Reading answers out of what models say: one parser for every strategy, split and comparison."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARK = re.compile(r"answer\s*(?:is)?\s*[:\-]\s*(.+)", re.I)
_FENCE = re.compile(r"```[a-zA-Z]*\n?(.*?)```", re.S)
_EDGES = " \t\r\n\"'`*_.,;:!?()[]{}<>"


def normalised(text: str) -> str:
    """Case, surrounding punctuation and runs of space taken away.

    >>> normalised(' "Positive." ')
    'positive'
    """
    return re.sub(r"\s+", " ", text).strip(_EDGES).casefold()


def parse_answer(said: str, labels: Sequence[str] = ()) -> str | None:
    """The answer in ``said``: one of ``labels`` where there are any. None where none is clearly meant.

    >>> parse_answer("I think the tone is warm.\\nAnswer: Positive!", ["positive", "negative"])
    'positive'
    >>> parse_answer("It could be positive or negative", ["positive", "negative"]) is None
    True
    """
    marked = _MARK.findall(said)
    for part in [*reversed(marked), said]:
        found = _label_in(part, labels) if labels else (normalised(part.strip().split("\n")[0]) or None)
        if found is not None:
            return found
    return None


def is_right(answer: str | None, expected: str) -> bool:
    """Whether a parsed answer is the expected one; numbers are compared by value.

    >>> is_right("1,000.0", "1000")
    True
    """
    if answer is None:
        return False
    if normalised(answer) == normalised(expected):
        return True
    said, wanted = _number(answer), _number(expected)
    return said is not None and said == wanted


def parse_rewrite(said: str) -> str:
    """What a proposer wrote: the last fenced block, else the text without a leading 'Here is ...:' line and quotes.

    >>> parse_rewrite("Here is a better prompt:\\n```\\nJudge the tone.\\n```")
    'Judge the tone.'
    >>> parse_rewrite('Sure! Improved instruction: "Judge the tone."')
    'Judge the tone.'
    """
    fenced = _FENCE.findall(said)
    if fenced:
        return str(fenced[-1]).strip()
    text = re.sub(
        r"^(sure|here|certainly|of course|improved|new|the improved)[^:\n]{0,80}:\s*", "", said.strip(), flags=re.I
    )
    return text.strip().strip('"`').strip()


def _label_in(said: str, labels: Sequence[str]) -> str | None:
    text = normalised(said)
    by_length = sorted(labels, key=len, reverse=True)
    for label in by_length:
        if text == normalised(label):
            return label
    named = [label for label in by_length if _names(label, said, text)]
    # A label inside a longer one that is named too ("good" in "very good") is not named by itself.
    named = [one for one in named if not any(one != other and normalised(one) in normalised(other) for other in named)]
    return named[0] if len(named) == 1 else None


def _names(label: str, said: str, text: str) -> bool:
    """Whether ``label`` stands in ``said`` (``text`` when normalised) as a word; a single letter only as it is written."""
    if len(label) > 1:
        return bool(re.search(rf"(?<!\w){re.escape(normalised(label))}(?!\w)", text))
    # "A house" begins with an article, not with choice A.
    article = r"(?!\s+[a-z])" if label in "AI" else ""
    return bool(re.search(rf"(?<![\w']){re.escape(label)}(?![\w']){article}", said))


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "").strip(_EDGES + "$%"))
    except ValueError:
        return None
