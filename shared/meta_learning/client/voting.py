"""Several prompts that were promoted together: what they answer as one.

>>> voters = (Voter("Judge it."), Voter("Decide."), Voter("Is it good?"))
>>> vote(voters, ["good", "bad", "bad"]), vote(voters, ["good", "bad", None])
('bad', 'good')

Where a model mentions no label at all, a prompt with weights answers with the label that they favour:

>>> vote([Voter("Judge it.", {"good": 0.0, "bad": 0.4})], [None])
'bad'
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from meta_learning.errors import CallerError

CHANCE_MIN = 1e-9
# A label, or the log-probability of each; None where a voter said nothing of use.
Said: TypeAlias = str | Mapping[str, float] | None


@dataclass(frozen=True, slots=True)
class Voter:
    """A prompt, what is added to its labels' log-probabilities, how sharp they then are, and what is sent for it."""

    text: str
    label_bias: Mapping[str, float] = field(default_factory=dict)
    label_sharpness: float = 1.0
    chat: Mapping[str, Any] | None = field(default=None, compare=False)

    def messages(self, input_text: str) -> list[dict[str, str]]:
        """See `filled`."""
        return filled(self.chat, input_text)


def filled(chat: Mapping[str, Any] | None, input_text: str) -> list[dict[str, str]]:
    """The messages for one input, as the run sent them that measured the prompt: worked examples are turns of the chat.

    >>> filled({"messages": [{"role": "user", "content": "Judge: {input}"}], "input": "{input}"}, "nice")
    [{'role': 'user', 'content': 'Judge: nice'}]

    Raises:
        CallerError: the server is older than this client, and does not say.
    """
    if chat is None:
        raise CallerError("the ingest service is too old to say what is sent for a prompt")
    *before, last = (dict(one) for one in chat["messages"])
    return [*before, last | {"content": last["content"].replace(chat["input"], input_text)}]


def vote(voters: Sequence[Voter], said: Sequence[Said]) -> str | None:
    """The label with the largest product of chances where every voter has weights and gives log-probabilities, else the majority.

    Two that are equally frequent: the one that was said first. A voter with weights that said nothing votes as they do alone.
    None where nobody said anything, and nobody has weights.

    Raises:
        CallerError: there is not one answer for each voter.
    """
    if len(voters) != len(said):
        raise CallerError(f"{len(said)} answers of {len(voters)} voters; give one for each, None where there is none")
    pairs = [(voter, _weighed(voter, one)) for voter, one in zip(voters, said, strict=True)]
    chances = [_log_chances(voter, one) for voter, one in pairs if voter.label_bias and isinstance(one, Mapping)]
    if len(chances) == len(voters):
        return max(chances[0], key=lambda label: sum(one[label] for one in chances))
    labels = [_label(voter, one) for voter, one in pairs]
    known = [label for label in labels if label is not None]
    return Counter(known).most_common(1)[0][0] if known else None


def _weighed(voter: Voter, said: Said) -> Said:
    return said or dict.fromkeys(voter.label_bias, 0.0) or None


def _label(voter: Voter, said: Said) -> str | None:
    if not isinstance(said, Mapping):
        return said
    return max(said, key=lambda label: said[label] + voter.label_bias.get(label, 0.0))


def _log_chances(voter: Voter, said: Mapping[str, float]) -> dict[str, float]:
    leaned = {
        label: voter.label_sharpness * (value + voter.label_bias.get(label, 0.0)) for label, value in said.items()
    }
    top = max(leaned.values())
    total = sum(math.exp(value - top) for value in leaned.values())
    return {label: math.log(max(CHANCE_MIN, math.exp(value - top) / total)) for label, value in leaned.items()}
