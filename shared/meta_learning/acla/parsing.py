"""Reading answers out of what models say: one parser for every strategy, split and comparison."""

from __future__ import annotations

import re
from collections.abc import Sequence

from meta_learning.datasets.spelling import answer_key, normalised, text_key

__all__ = ["is_right", "normalised", "parse_answer", "parse_rewrite", "spoken"]

_MARK = re.compile(r"answer\s*(?:is)?\s*[:\-]\s*(.+)", re.I)
_FENCE = re.compile(r"```[a-zA-Z]*\n?(.*?)```", re.S)
_THOUGHT = re.compile(r"<(think(?:ing)?)>.*?</\1>", re.I | re.S)
_THOUGHT_BEGINS = re.compile(r"<think(?:ing)?>", re.I)
_THOUGHT_ENDS = re.compile(r"</think(?:ing)?>", re.I)


def spoken(said: str) -> str:
    """What a model says after it has thought: without ``<think>…</think>``; nothing where it was cut off while thinking.

    >>> spoken("<think>Warm words.</think> Positive"), spoken("Warm words.</think>Positive"), spoken("<think>Warm wor")
    ('Positive', 'Positive', '')
    """
    if "<" not in said:
        return said
    # Some chat templates open the thought themselves, so that a reply has its end only.
    left = _THOUGHT_ENDS.split(_THOUGHT.sub("", said))[-1]
    return "" if _THOUGHT_BEGINS.search(left) else left.strip()


def parse_answer(said: str, labels: Sequence[str] = ()) -> str | None:
    """The answer in ``said``, whatever was thought before it: one of ``labels`` where there are any. None where none is clearly meant.

    >>> parse_answer("I think the tone is warm.\\nAnswer: Positive!", ["positive", "negative"])
    'positive'
    >>> parse_answer("It could be positive or negative", ["positive", "negative"]) is None
    True
    """
    said = spoken(said)
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
    return answer is not None and (answer == expected or answer_key(answer) == answer_key(expected))


def parse_rewrite(said: str) -> str:
    """What a proposer wrote: the last fenced block, else the text without a leading 'Here is ...:' line and quotes.

    >>> parse_rewrite("Here is a better prompt:\\n```\\nJudge the tone.\\n```")
    'Judge the tone.'
    >>> parse_rewrite('Sure! Improved instruction: "Judge the tone."')
    'Judge the tone.'
    """
    said = spoken(said)
    fenced = _FENCE.findall(said)
    if fenced:
        return str(fenced[-1]).strip()
    text = re.sub(
        r"^(sure|here|certainly|of course|improved|new|the improved)[^:\n]{0,80}:\s*", "", said.strip(), flags=re.I
    )
    return text.strip().strip('"`').strip()


def _label_in(said: str, labels: Sequence[str]) -> str | None:
    text = text_key(said)
    by_length = sorted(labels, key=len, reverse=True)
    for label in by_length:
        if text == text_key(label):
            return label
    named = [label for label in by_length if _names(label, said, text)]
    # A label inside a longer one that is named too ("good" in "very good") is not named by itself.
    keys = list(dict.fromkeys(text_key(label) for label in named))
    keys = [one for one in keys if not any(one != other and one in other for other in keys)]
    # Labels that are spelled alike are one.
    return next(label for label in named if text_key(label) == keys[0]) if len(keys) == 1 else None


def _names(label: str, said: str, text: str) -> bool:
    """Whether ``label`` stands in ``said`` (``text`` when normalised) as a word; a single letter only as it is written."""
    if len(label) > 1:
        return bool(re.search(rf"(?<!\w){re.escape(text_key(label))}(?!\w)", text))
    # "A house" begins with an article, not with choice A.
    article = r"(?!\s+[a-z])" if label in "AI" else ""
    return bool(re.search(rf"(?<![\w']){re.escape(label)}(?![\w']){article}", said))
