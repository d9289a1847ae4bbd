"""What it costs that a prompt makes the model favour a label: a few answers show that sooner than they show how many are right.

A model that tells labels apart equally well whatever it leans to is right the less often, the further it leans (signal detection:
Green and Swets, 1966; of prompts: Zhao et al., 2021). Prompts differ in more than their leanings, so half of that is expected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

# A model is believed to be so much better than the commonest label, of what is possible, until some prompt shows more.
SKILL_USUAL = 0.25
# Of what would be lost if prompts differed in nothing else (docs/decisions/0012).
EXPECTED_SHARE = 0.5


def leaning(pairs: Sequence[tuple[str | None, str]]) -> float:
    """How far (said, right) answers are from saying each label as often as it is right: half the sum of the squared differences of
    the shares, between 0 and 1, less what chance makes of as many errors (James and Stein, 1961). An answer that names no label
    counts as one of its own.

    >>> balanced = ["yes", "no"] * 20
    >>> leaning([("yes", right) for right in balanced]) > 0.2
    True
    >>> leaning([(right, right) for right in balanced]), leaning([("yes", "no"), ("no", "yes")] * 4)
    (0.0, 0.0)
    """
    errors = [(said, right) for said, right in pairs if said != right]
    if not errors:
        return 0.0
    over = Counter(said for said, _ in errors)
    over.subtract(right for _, right in errors)
    square = sum(count * count for count in over.values()) / 2.0
    # An error adds one to a label and takes one from another: were each a toss of a coin, this would be the sum of squares.
    chance = float(len(errors))
    return square * max(0.0, 1.0 - chance / square) ** 2 / len(pairs) ** 2 if square else 0.0


def cost_of(leaning: float, commonest: float, score: float) -> float:
    """The right answers, as a share, that a ``leaning`` is expected to lose where ``score`` is reached without: by always saying one
    label all would be lost that are more than the share of the ``commonest``.

    >>> cost_of(0.25, 0.5, 0.75), cost_of(0.0, 0.5, 0.75)
    (0.125, 0.0)
    """
    possible = max(1e-9, 1.0 - commonest)
    skill = max(score - commonest, SKILL_USUAL * possible)
    return EXPECTED_SHARE * skill * min(1.0, leaning / possible**2)
