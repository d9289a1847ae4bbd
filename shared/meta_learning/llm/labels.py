"""Log-probabilities of whole answers, read from the alternatives that a model considered for its first token."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

# Servers write -9999 (vLLM) or the smallest number there is (llama.cpp) for what cannot be said: no measure of anything.
IMPOSSIBLE = -1000.0


def label_logprobs(first_token: Iterable[tuple[str, float]], labels: Sequence[str]) -> Mapping[str, float] | None:
    """The log-probability that an answer begins like each label, or None where the first token cannot tell them apart.

    A token counts for a label when it begins it, whatever its case and leading space; a token that begins several labels
    counts for none, unless they are one label in several spellings. A label that no alternative begins gets the smallest
    log-probability seen: an upper bound, since endpoints return only the most probable alternatives.

    >>> label_logprobs([("Pos", -0.5), ("neg", -1.5), ("The", -3.0)], ["positive", "negative"])
    {'positive': -0.5, 'negative': -1.5}
    >>> label_logprobs([("not", -0.1)], ["not good", "not bad"]) is None
    True
    """
    alternatives = [(token, logprob) for token, logprob in first_token if logprob > IMPOSSIBLE]
    if not alternatives or len({label.strip().lower() for label in labels}) < 2:
        return None
    masses = dict.fromkeys(labels, 0.0)
    for token, logprob in alternatives:
        for label in _begun(token, labels):
            masses[label] += math.exp(logprob)
    if not any(masses.values()):
        return None
    floor = min(logprob for _, logprob in alternatives)
    return {label: math.log(mass) if mass > 0.0 else floor for label, mass in masses.items()}


def beginnings(vocabulary: Sequence[str], labels: Sequence[str]) -> dict[str, list[int]]:
    """For each label the numbers of the tokens that begin it and no other: the same rule, for whoever sees all tokens.

    >>> beginnings(["the", " Neg", "pos", "p", "n"], ["negative", "positive"])
    {'negative': [1, 4], 'positive': [2, 3]}
    """
    found: dict[str, list[int]] = {label: [] for label in labels}
    for number, token in enumerate(vocabulary):
        for label in _begun(token, labels):
            found[label].append(number)
    return found


def _begun(token: str, labels: Sequence[str]) -> list[str]:
    """The label that a token begins, in all its spellings; nothing where it begins several labels."""
    said = token.strip().lower()
    begun = [label for label in labels if said and label.strip().lower().startswith(said)]
    return begun if len({label.strip().lower() for label in begun}) == 1 else []
