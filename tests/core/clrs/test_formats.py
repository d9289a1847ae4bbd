"""State that another release wrote is refused with a sentence that says what to do."""

from __future__ import annotations

import json

import pytest

from meta_learning.clrs.loop_monitor import LoopMonitor
from meta_learning.clrs.loop_state import FORMAT, decoded, encoded
from meta_learning.errors import MalformedState


def test_a_state_of_another_format_names_both_and_says_what_to_do() -> None:
    old = json.dumps(json.loads(encoded({"loop": "support"})) | {"format": FORMAT - 1}).encode()
    with pytest.raises(
        MalformedState, match=rf"format {FORMAT - 1}, this release reads {FORMAT}: go back .* fresh data"
    ):
        decoded(old)


def test_a_monitor_state_of_another_release_says_what_to_do() -> None:
    state, references = LoopMonitor().split()
    old = {name: part for name, part in json.loads(state).items() if name != "patterns"}
    with pytest.raises(MalformedState, match=r"of another release .*'patterns'.*: go back .* fresh data"):
        LoopMonitor.joined(json.dumps(old).encode(), references)
