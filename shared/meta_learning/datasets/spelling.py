"""When two texts are one: inputs and answers that differ in case, spacing, outer punctuation or the way a number is written only.

What draws items, what judges answers and what describes a data set go by the same rule, so that all count the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

EDGES = " \t\r\n\"'`*_.,;:!?()[]{}<>"


def normalised(text: str) -> str:
    """Case, surrounding punctuation and runs of space taken away.

    >>> normalised(' "Positive." ')
    'positive'
    """
    return re.sub(r"\s+", " ", text).strip(EDGES).casefold()


def text_key(text: str) -> str:
    """The same for equal texts; what is nothing but punctuation is told by that.

    >>> text_key("Fine, thanks!") == text_key(" fine,  thanks"), text_key(":)") == text_key(":(")
    (True, False)
    """
    return normalised(text) or " ".join(text.split())


def answer_key(text: str) -> str:
    """The same for answers that are both right where one is: equal texts, and numbers of one value.

    >>> [answer_key(one) for one in ("Yes", "yes ", "1,000", "1000.0")]
    ['yes', 'yes', '1000.0', '1000.0']
    """
    number = number_of(text)
    return text_key(text) if number is None or number != number else str(number)


def number_of(text: str) -> float | None:
    """The value of a text that is a number, with or without a sign of money or per cent.

    >>> number_of("$1,200"), number_of("twelve")
    (1200.0, None)
    """
    try:
        return float(text.replace(",", "").strip(EDGES + "$%"))
    except ValueError:
        return None


def usual_spellings(answers: Iterable[str]) -> dict[str, str]:
    """By `answer_key`, the spelling that most of ``answers`` have; of equally frequent ones the first.

    >>> usual_spellings(["Yes", "yes", "no", "yes "])
    {'yes': 'yes', 'no': 'no'}
    """
    spelled: dict[str, Counter[str]] = {}
    for answer in answers:
        spelled.setdefault(answer_key(answer), Counter())[answer.strip()] += 1
    return {key: found.most_common(1)[0][0] for key, found in spelled.items()}
