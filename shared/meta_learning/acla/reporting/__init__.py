"""What a run says of itself: a picture of the moment while it goes on, and a report when it has ended. Texts, no files."""

from meta_learning.acla.reporting.difference import difference
from meta_learning.acla.reporting.offers import known_offers, offers
from meta_learning.acla.reporting.report import conditions, markdown
from meta_learning.acla.reporting.snapshot import Row, Snapshot, snapshot_of

__all__ = ["Row", "Snapshot", "conditions", "difference", "known_offers", "markdown", "offers", "snapshot_of"]
