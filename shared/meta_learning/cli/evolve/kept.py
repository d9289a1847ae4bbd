"""What of the prompt's wording a run may change, said before anybody agrees to it."""

from __future__ import annotations

from meta_learning.acla.preparing import labels_of
from meta_learning.acla.prompt import Prompt
from meta_learning.cli.evolve.budget import Budget

NAME_IT = "name it with --contract"
SHOWN_CHARS_MAX = 400


def kept(budget: Budget) -> str:
    """One line: what is kept as it is, or that nothing is, and what else there is to know of it.

    Raises:
        ConfigurationError: the contract that was named is not in the prompt's instructions.
    """
    config, parts = budget.config, budget.splits
    labels = labels_of(config, (*parts.search, *parts.gate))
    return split_line(Prompt.parse(config.initial_prompt, labels, config.contract), config.contract)


def split_line(prompt: Prompt, named: str | None) -> str:
    """The line, for a prompt whose contract was ``named``, or guessed where that is None.

    >>> split_line(Prompt.parse("Judge it. Answer yes or no."), None)
    "kept as it is: 'Answer yes or no.' (if that is not how to answer: --contract TEXT)"
    >>> split_line(Prompt.parse("Judge it."), None)
    'no output contract found: the whole wording may be changed; name it with --contract'
    """
    said = [f"kept as it is: {', '.join(_shown(one) for one in prompt.fixed)}"] if prompt.fixed else []
    if named == "":
        said.append("no output contract, as you say: all other wording may be changed")
    elif named is None and not prompt.contract:
        much = "all other wording" if prompt.frame else "the whole wording"
        said.append(f"no output contract found: {much} may be changed; {NAME_IT}")
    elif named is None:
        said[0] += " (if that is not how to answer: --contract TEXT)"
    if not (prompt.task or prompt.role):
        said.append(
            "there is no other wording to change: a role, a task, rules, reasoning and examples may only be added"
        )
    return "; ".join(said)


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…")
