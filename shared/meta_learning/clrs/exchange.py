"""One exchange with a user, as the scores need it: the pair, who judged it, its segment, and how likely it was to be shown."""

from __future__ import annotations

from typing import NamedTuple

from meta_learning.clrs.models.port import Pair
from meta_learning.events import FeedbackReceived

SEGMENT_KEY = "segment"  # the metadata field that names an event's segment: a language, a product, a kind of customer
SEGMENT_CHARS_MAX = 64


class Exchange(NamedTuple):
    """What was asked and answered; the rest is None where the application did not say."""

    input_text: str
    output_text: str
    user_id: str | None = None
    segment: str | None = None
    propensity: float | None = None

    @property
    def pair(self) -> Pair:
        """What a model sees.

        >>> Exchange("hello", "hi", user_id="ann").pair
        ('hello', 'hi')
        """
        return (self.input_text, self.output_text)


def exchange_of(event: FeedbackReceived) -> Exchange:
    """The exchange of one event; its segment is ``metadata["segment"]`` where that is a string."""
    segment = event.metadata.get(SEGMENT_KEY)
    named = segment[:SEGMENT_CHARS_MAX] if isinstance(segment, str) and segment else None
    return Exchange(event.input_text, event.output_text, event.user_id, named, event.propensity)
