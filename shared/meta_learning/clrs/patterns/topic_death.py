"""Topic death: inputs no longer speak of something that they used to speak of."""

from __future__ import annotations

from typing import Any

from meta_learning.clrs.patterns.port import Evidence, Reading


class TopicDeath:
    """At least two words that were in more than 4 % of the inputs are four times as rare in the last five cycles (`TopicWords`)."""

    name = "topic_death"

    def update(self, reading: Reading) -> Evidence | None:
        """Fold one cycle."""
        found = reading.topics.gone()
        if found is None:
            return None
        share, words = found
        sentence = f"Inputs no longer speak of {', '.join(words)} (it was up to {share:.0%} of them)."
        return Evidence({"share_before": share, "words": len(words)}, sentence)

    def state(self) -> dict[str, Any]:
        """Nothing of its own."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
