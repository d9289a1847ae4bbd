"""Look at what went wrong: name the kind of failure, then add one rule against it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meta_learning.acla.strategies import Answered, Proposal, Proposer, Situation, untried

SHOWN_COUNT = 4
RULE_CHARS_MAX = 400
NAME_CHARS_MAX = 80
AS_LINES = "Put two lines between ``` and ```:\nFailure: <what they have in common, in a few words>\n<the rule>"
AS_JSON = 'Answer with JSON: {"failure": "<what they have in common, in a few words>", "rule": "<the rule>"}'


class Diagnosis(BaseModel):
    """What wrong answers have in common, and a rule against it."""

    model_config = ConfigDict(extra="forbid")

    failure: str = Field(description="what the wrong answers have in common, in a few words")
    rule: str = Field(description="one general rule that would have made them right, without quoting the inputs")


@runtime_checkable
class FormFilling(Protocol):
    """An author who can be held to a JSON schema, as long as ``takes_schema``."""

    takes_schema: bool

    async def fill(self, brief: str, schema: Mapping[str, Any]) -> tuple[str, bool]:
        """What was written, and whether it was held to ``schema``; an empty text when nothing usable was said."""


class ErrorAnalysis:
    """A rule by the author from contrasting failures and successes; rules from the confusion counts need no author."""

    name = "error_analysis"

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """Nothing when there are no failures."""
        if not situation.failures:
            return []
        parent = situation.parent.prompt
        rules = await _written(proposer, _looked_at(situation, rng))
        rules += [rule for rule in _confusion_rules(situation.failures) if rule[0] not in parent.rules]
        found = [Proposal(parent.edit(rules=(*parent.rules, rule)), note) for rule, note in rules]
        return untried(found, situation)


def _confusion_rules(failures: Sequence[Answered]) -> list[tuple[str, str]]:
    """Rules against the most frequent confusions."""
    counted = Counter((one.item.expected, one.answer) for one in failures if one.answer is not None)
    rules: list[tuple[str, str]] = []
    for (expected, said), count in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])):
        note = f"{count} times {said!r} where {expected!r} was right"
        rules.append(
            (f"Do not answer {said} too easily: when in doubt between {said} and {expected}, answer {expected}.", note)
        )
        rules.append((f"Answer {said} only if there is clear evidence for it; otherwise answer {expected}.", note))
    return rules


async def _written(proposer: Proposer, looked_at: str) -> list[tuple[str, str]]:
    """The author's rule: as JSON where the author can be held to a form, else between fences; none where it is not usable."""
    if isinstance(proposer, FormFilling) and proposer.takes_schema:
        said, held = await proposer.fill(looked_at + AS_JSON, Diagnosis.model_json_schema())
        try:
            found = Diagnosis.model_validate_json(said)
        except ValidationError:
            # Where the server refused the schema, the model may write as it likes, but half an object is no rule.
            return [_named(said)] if said and not held and not said.startswith(("{", "[")) else []
        return [_against(found.failure, found.rule)] if found.rule.strip() else []
    written = await proposer.write(looked_at + AS_LINES)
    return [_named(written)] if written else []


def _looked_at(situation: Situation, rng: random.Random) -> str:
    solved = _some(situation.solved, SHOWN_COUNT, rng)
    stubborn = _some([one for one in situation.failures if one not in situation.solved], SHOWN_COUNT // 2, rng)
    kept = _some(situation.successes, SHOWN_COUNT // 2, rng)
    return (
        f"A language model follows this instruction:\n{situation.parent.prompt.render()}\n\n"
        f"It was wrong here:\n{_shown([*solved, *stubborn])}\n\nIt was right here, and must stay right:\n{_shown(kept)}\n\n"
        "Say what the wrong answers have in common, and write one general rule, without quoting the inputs, that would "
        "have made them right. "
    )


def _some(answered: Sequence[Answered], count: int, rng: random.Random) -> list[Answered]:
    return rng.sample(list(answered), min(count, len(answered)))


def _named(written: str) -> tuple[str, str]:
    """The rule, and the hypothesis that it is against, if the author named one."""
    hypothesis, _, rule = written.partition("\n")
    if not hypothesis.casefold().startswith("failure:") or not rule.strip():
        return _one_line(written), "a rule written after looking at the failures"
    return _against(hypothesis[len("failure:") :], rule)


def _against(failure: str, rule: str) -> tuple[str, str]:
    return _one_line(rule), f"against: {failure.strip()[:NAME_CHARS_MAX]}"


def _shown(answered: list[Answered]) -> str:
    return "\n".join(
        f"Input: {one.item.input[:300]}\nAnswered: {one.answer or 'nothing clear'}\nExpected: {one.item.expected}"
        for one in answered
    )


def _one_line(written: str) -> str:
    return " ".join(written.split())[:RULE_CHARS_MAX].lstrip("- ")
