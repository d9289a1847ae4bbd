"""Topic birth: inputs speak of something that they did not speak of before."""

from __future__ import annotations

from typing import Any

from meta_learning.clrs.patterns.port import Evidence, Reading


class TopicBirth:
    """At least two words that were in less than 1 % of the inputs are in more than 4 % of the last three cycles' (`TopicWords`)."""

    name = "topic_birth"

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        found = reading.topics.born()
        if found is None:
            return None
        share, words = found
        sentence = f"Inputs speak of something new: {', '.join(words)} (up to {share:.0%} of the last inputs)."
        return Evidence({"share": share, "words": len(words)}, sentence)

    def state(self) -> dict[str, Any]:
        """Nothing of its own."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
