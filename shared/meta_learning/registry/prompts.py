"""The content of a prompt version: its text, and what else belongs to it. Whoever writes or reads one does it here.

>>> read_prompt(prompt_blob("Be kind."))
PromptContent(text='Be kind.', blocks=None, voters=())
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from meta_learning.errors import MalformedState


class Voter(BaseModel):
    """One of several prompts that vote, with what is added to its labels' log-probabilities, and how sharp they then are."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    text: str
    label_bias: dict[str, float] = {}
    label_sharpness: float = 1.0


class PromptContent(BaseModel):
    """``blocks``: the parts that the text was put together from, and ``label_bias``, the weights to add to each answer's
    log-probability before one is chosen; None for a text that a person wrote. Its ``system_turn`` is False where instructions were
    put before the user's words, since the server that was asked hears none in a turn of their own. ``voters``: where several prompts
    vote, all of them, of which ``text`` is the first; a question then takes as many calls.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    text: str
    blocks: Any = None
    voters: tuple[Voter, ...] = ()

    @property
    def calibrated(self) -> bool:
        """Whether the prompt is to be used with weights on its labels."""
        return isinstance(self.blocks, dict) and bool(self.blocks.get("label_bias"))

    @property
    def has_system_turn(self) -> bool:
        """Whether instructions are sent in a turn of their own."""
        return not isinstance(self.blocks, dict) or self.blocks.get("system_turn") is not False


def prompt_blob(text: str, blocks: Mapping[str, Any] | None = None, voters: Sequence[Voter] = ()) -> bytes:
    """The content as bytes, the same for the same prompt whoever writes it."""
    said: dict[str, Any] = {"text": text, "blocks": blocks or None}
    if voters:
        said["voters"] = [voter.model_dump() for voter in voters]
    return json.dumps(said, ensure_ascii=False, sort_keys=True).encode()


def read_prompt(blob: bytes) -> PromptContent:
    """Read a prompt version's content.

    Raises:
        MalformedState: the blob is something else.
    """
    try:
        return PromptContent.model_validate_json(blob)
    except ValidationError:
        raise MalformedState("the content is no prompt") from None
