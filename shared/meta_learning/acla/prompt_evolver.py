"""From a situation to children worth a call: the author's voice, and the checks that cost nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from meta_learning.acla.asking import Asking
from meta_learning.acla.config import CurriculumConfig
from meta_learning.acla.outcomes import Candidate
from meta_learning.acla.parsing import normalised, parse_rewrite
from meta_learning.acla.prompt import Prompt
from meta_learning.acla.splits import Item
from meta_learning.acla.strategies import Proposal, Situation, Strategy
from meta_learning.llm import Message, Reply, Request

# Shorter inputs ("ok", "no") turn up in any text by chance.
QUOTED_CHARS_MIN = 20


class ModelProposer:
    """Asks the model itself to write; every request of a run is another sample, so that none is answered from a cache."""

    def __init__(self, asking: Asking, config: CurriculumConfig) -> None:
        self._asking = asking
        self._config = config
        self._count = 0
        self.sampling_accepted = True
        # Told by replies, which a log keeps, not by what an adapter has learnt: a resumed run must ask the same.
        self.takes_schema = asking.llm.capabilities.structured

    async def write(self, brief: str) -> str:
        """The rewrite, or an empty text when the model refused or said nothing usable."""
        reply = await self._asked(brief, None)
        return "" if reply is None else parse_rewrite(reply.text)

    async def fill(self, brief: str, schema: Mapping[str, Any]) -> tuple[str, bool]:
        """What the model wrote, and whether it was held to ``schema``; from the first time that it was not, none is sent any more."""
        reply = await self._asked(brief, schema)
        self.takes_schema = reply is not None and reply.structured
        if reply is None:
            return "", False
        return (reply.text, True) if reply.structured else (parse_rewrite(reply.text), False)

    async def _asked(self, brief: str, schema: Mapping[str, Any] | None) -> Reply | None:
        self._count += 1
        request = Request(
            messages=(Message("user", brief),),
            purpose="proposer",
            max_tokens=self._config.proposal_tokens,
            temperature=self._config.temperature,
            sample=self._count,
            schema=schema,
        )
        reply = (await self._asking.ask_all([request]))[0]
        if not isinstance(reply, Reply):
            return None
        self.sampling_accepted &= reply.sampling == "as_asked"
        return reply


class PromptEvolver:
    """Makes children of a prompt by a strategy, and throws out what cannot be worth a call."""

    def __init__(self, config: CurriculumConfig, proposer: ModelProposer, items: Sequence[Item]) -> None:
        self._config = config
        self._proposer = proposer
        self._texts = {normalised(item.input): item.id for item in items if len(item.input) >= QUOTED_CHARS_MIN}
        self.known: set[str] = set()
        self.rejected: list[str] = []

    async def children(self, strategy: Strategy, situation: Situation, rng: random.Random) -> list[Candidate]:
        """New candidates; a child inherits its parent's calibration."""
        parent = situation.parent
        children: list[Candidate] = []
        for proposal in await strategy.propose(situation, self._proposer, rng):
            reason = self._refusal(proposal, parent.prompt)
            if reason is not None:
                self.rejected.append(f"{strategy.name}: {reason}")
                continue
            self.known.add(proposal.prompt.version)
            children.append(Candidate(proposal.prompt, parent.calibrated, strategy.name, proposal.note, parent.version))
        return children

    def _refusal(self, proposal: Proposal, parent: Prompt) -> str | None:
        """Why a proposal is not worth a call, or None."""
        prompt = proposal.prompt
        text = prompt.render()
        if not (prompt.task or prompt.role or prompt.frame or prompt.contract):
            return "nothing is left of the prompt"
        if prompt.version in self.known:
            return "it was tried before"
        if len(text) > self._config.prompt_chars_max:
            return f"{len(text)} characters; at most {self._config.prompt_chars_max}"
        if prompt.contract != parent.contract or prompt.frame != parent.frame:
            return "the contract or the frame changed"
        if prompt.evolved_variables - parent.evolved_variables:
            return "it has a template variable that is none of the prompt's"
        if _shown(Prompt.parse(text)) != _shown(prompt):
            return "its text would be read as other examples than it has"
        if self._quotes_items(prompt):
            return "it quotes an item of the search set outside its exemplars"
        return None

    def _quotes_items(self, prompt: Prompt) -> bool:
        instructions = normalised(" ".join((prompt.role, prompt.task, prompt.reasoning, *prompt.rules)))
        return any(text in instructions for text in self._texts)


def _shown(prompt: Prompt) -> list[tuple[str, str]]:
    return [(one.input, one.answer) for one in prompt.exemplars]
