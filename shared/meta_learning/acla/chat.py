"""The turns of a chat that a prompt stands for, with the one place in its last turn where the input goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meta_learning.acla import blocks
from meta_learning.acla.endpoint import joined
from meta_learning.llm import Message

PLACE = "{input}"


@dataclass(frozen=True, slots=True)
class Chat:
    """``place`` stands in the last turn where the input goes, and nowhere else in that turn.

    >>> chat = chat_of("Judge.", [], "", "Text: {input}")
    >>> chat.filled("nice")[-1].text, chat.as_json()["messages"][0]
    ('Text: nice', {'role': 'system', 'content': 'Judge.'})
    """

    messages: tuple[Message, ...]
    place: str = PLACE

    def filled(self, text: str) -> tuple[Message, ...]:
        """What is sent for one input."""
        *before, last = self.messages
        return (*before, Message(last.role, last.text.replace(self.place, text)))

    def in_one_turn(self) -> Chat:
        """The same as `joined` gives it, for a server that hears instructions in no turn of their own.

        >>> chat_of("Judge.", [], "", "Text: {input}").in_one_turn().filled("nice")
        (Message(role='user', text='Judge.\\n\\nText: nice'),)
        """
        *said, last = joined(self.messages)
        frame = self.messages[-1].text
        # Where the instructions now stand before the input, they may speak of its place themselves.
        return _ending(said, last.text.removesuffix(frame), frame, self.place)

    def as_json(self) -> dict[str, Any]:
        """For applications: ``messages`` in the form of the vendors' interfaces, and the text to replace in the last of them."""
        return {
            "messages": [{"role": one.role, "content": one.text} for one in self.messages],
            "input": self.place,
        }


def chat_of(instructions: str, shown: Sequence[tuple[str, str]], before: str, frame: str) -> Chat:
    """``shown`` inputs with their answers between the instructions and the input. Every input in the frame, if there is one.

    Every answer behind the mark "Answer:", if the instructions ask for it. ``before``: text that stands in the last turn itself.
    """
    mark = "Answer: " if shown and blocks.marks_answer(instructions) else ""
    said = [Message("system", instructions)] if instructions else []
    for given, answer in shown:
        said.append(Message("user", frame.replace(PLACE, given) if frame else given))
        said.append(Message("assistant", mark + answer))
    return _ending(said, before, frame or PLACE)


def _ending(said: Sequence[Message], before: str, frame: str, place: str = PLACE) -> Chat:
    """With a place of another name where the text before the frame speaks of "{input}" itself."""
    name, number = place, 0
    while name in before or (number and name in frame):
        number += 1
        name = f"{{input:{number}}}"
    return Chat((*said, Message("user", before + frame.replace(place, name))), name)
