"""What a loop remembers between two events, apart from its models: small, and JSON through and through."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from meta_learning.clrs.beginner import Rivalry
from meta_learning.clrs.gating.judging import Docket
from meta_learning.clrs.models.port import Pair
from meta_learning.clrs.statistics import Moments
from meta_learning.errors import MalformedState
from meta_learning.events import FeedbackReceived

FORMAT = 3
# What one release learnt, another cannot always read; the feedback that it learnt from stays readable.
WHAT_TO_DO = (
    "go back to the release that wrote it, or begin with a fresh data folder and a fresh broker and send the feedback again "
    "(what was trimmed lies in the archive); see Upgrades in docs/operations.md"
)
PARTS = ("accepted", "trained", "capped", "distrusted", "unlearnt")


@dataclass(slots=True)
class LoopState:
    """Counts, the unfinished cycle, what the gates know. The probe is fixed once full, and kept as a blob.

    ``control_since``: the cycle after which the control arm took its part.
    """

    cycle: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    feedback: Moments = field(default_factory=Moments)
    last_entry: str = "0-0"
    docket: Docket = field(default_factory=Docket)
    control_since: int = 0
    rivalry: Rivalry = field(default_factory=Rivalry)
    pending: list[tuple[str, FeedbackReceived]] = field(default_factory=list)
    probe: list[Pair] = field(default_factory=list)

    def constant(self) -> float:
        """What a constant predictor says: the mean of all feedback that counted, 0.5 before there is any."""
        return round(self.feedback.mean, 6) if self.feedback.count else 0.5

    def to_json(self) -> dict[str, Any]:
        """Everything but the probe."""
        return {
            "cycle": self.cycle,
            "counts": dict(self.counts),
            "feedback": asdict(self.feedback),
            "last_entry": self.last_entry,
            "docket": self.docket.to_json(),
            "control_since": self.control_since,
            "rivalry": self.rivalry.to_json(),
            "pending": [[entry, event.encode().decode()] for entry, event in self.pending],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], probe: bytes | None) -> LoopState:
        """Read `to_json` and `probe_bytes` back."""
        return cls(
            cycle=int(data["cycle"]),
            counts={name: int(count) for name, count in data["counts"].items()},
            feedback=Moments(**data["feedback"]),
            last_entry=str(data["last_entry"]),
            docket=Docket.from_json(data["docket"]),
            control_since=int(data["control_since"]),
            rivalry=Rivalry.from_json(data.get("rivalry") or Rivalry().to_json()),
            pending=[(str(entry), FeedbackReceived.decode(body.encode())) for entry, body in data["pending"]],
            probe=[(str(asked), str(answered)) for asked, answered in json.loads(probe)] if probe else [],
        )

    def probe_bytes(self) -> bytes:
        """The probe's pairs as JSON."""
        return json.dumps(self.probe, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A loop's whole state: ``state`` refers by digest to blobs, of which ``blobs`` holds those new since the last snapshot.

    ``versions`` maps the version of each model that plays a part to the digest of its blob.
    """

    state: bytes
    blobs: dict[str, bytes]
    versions: dict[str, str]


def decoded(state: bytes) -> dict[str, Any]:
    """The JSON of a snapshot's ``state``.

    Raises:
        MalformedState: no JSON, or of another format.
    """
    try:
        data = json.loads(state)
    except ValueError as error:
        raise MalformedState(f"the loop's state is no JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise MalformedState(f"the loop's state has format {found!r}, this release reads {FORMAT}: {WHAT_TO_DO}")
    return data


def encoded(data: dict[str, Any]) -> bytes:
    """``data`` as compact JSON with sorted keys: equal states give equal bytes."""
    return json.dumps(data | {"format": FORMAT}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
