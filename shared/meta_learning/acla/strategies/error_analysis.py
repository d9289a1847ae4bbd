"""Look at what went wrong: name the kind of failure, then add one rule against it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from meta_learning.acla.strategies import Answered, Proposal, Proposer, Situation

SHOWN_COUNT = 4
RULE_CHARS_MAX = 400


class ErrorAnalysis:
    """A rule by the author from contrasting failures and successes; rules from the confusion counts need no author."""

    name = "error_analysis"

    async def propose(self, situation: Situation, proposer: Proposer, rng: random.Random) -> list[Proposal]:
        """Nothing when there are no failures."""
        if not situation.failures:
            return []
        parent = situation.parent.prompt
        written = await proposer.write(_brief(situation, rng))
        rules = [(_one_line(written), "a rule written after looking at the failures")] if written else []
        rules += [rule for rule in _confusion_rules(situation.failures) if rule[0] not in parent.rules]
        found = [Proposal(parent.edit(rules=(*parent.rules, rule)), note) for rule, note in rules]
        return found[: situation.children_count]


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


def _brief(situation: Situation, rng: random.Random) -> str:
    failures = rng.sample(list(situation.failures), min(SHOWN_COUNT, len(situation.failures)))
    kept = rng.sample(list(situation.successes), min(2, len(situation.successes)))
    return (
        f"A language model follows this instruction:\n{situation.parent.prompt.render()}\n\n"
        f"It was wrong here:\n{_shown(failures)}\n\nIt was right here, and must stay right:\n{_shown(kept)}\n\n"
        "First name in one sentence what the wrong answers have in common. Then write one general rule, without quoting the "
        "inputs, that would have made them right. Put only the rule between ``` and ```."
    )


def _shown(answered: list[Answered]) -> str:
    return "\n".join(
        f"Input: {one.item.input[:300]}\nAnswered: {one.answer or 'nothing clear'}\nExpected: {one.item.expected}"
        for one in answered
    )


def _one_line(written: str) -> str:
    return " ".join(written.split())[:RULE_CHARS_MAX].lstrip("- ")
