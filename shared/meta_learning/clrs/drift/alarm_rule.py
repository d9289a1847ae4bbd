"""When is a drift an alarm? A budget of false alarms over all kinds and all windows, and one alarm an episode."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

SHARES = {"concept": 0.5, "input": 0.25, "output": 0.25}  # of the budget of false alarms
OVER = 0.05  # p-value above which an episode has ended
KEPT_MAX = 20


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm: what kind, after how many events, since which event, how large, on what evidence, and where.

    ``since`` and ``event`` count the events that the detector was given, from 0. ``evidence`` is a p-value for texts, the change
    detector's share of its limit for concept, and the score itself for the other two. ``words`` are signed changes of the
    share of texts with a word; ``segment`` names the segment that moved most, where segments are known.
    """

    kind: str
    event: int
    since: int
    score: float | None
    evidence: float
    words: tuple[tuple[str, float], ...] = ()
    segment: dict[str, Any] | None = None
    cause: str | None = None


class AlarmRule:
    """At most one false alarm in ``run_length`` events on average, over all kinds together, however long it runs.

    The expected number of false alarms is a sum, so it holds under any dependence between kinds and windows: concept has half
    of it (its detector runs at twice ``run_length``), each text kind a quarter, spent evenly: a window of n events alarms when
    its exact p-value is at most ``n / (4 * run_length)``. Behaviour (the same probe, no sampling) and performance (a 99 %
    bound above the threshold, 4.6 standard errors from no loss or more) alarm when their score exceeds the threshold. The
    threshold is the size, the evidence is the alarm: a small drift can be sure, and a large score on few texts is not.

    An episode raises one alarm and ends when the p-value rises above 0.05, or the score falls below the threshold.

    >>> rule = AlarmRule(run_length=50_000.0)
    >>> rule.level("input", 100), rule.raised("input", 0.0004, 100), rule.raised("input", 0.0004, 100)
    (0.0005, True, False)
    """

    def __init__(self, run_length: float = 50_000.0) -> None:
        self.run_length = run_length
        self.alarms: list[Alarm] = []
        self.count = 0
        self._open: dict[str, bool] = {}

    @property
    def concept_run_length(self) -> float:
        """The run length of the concept detector."""
        return self.run_length / SHARES["concept"]

    def level(self, kind: str, window: int) -> float:
        """The p-value at which a window of so many events alarms."""
        return SHARES[kind] * window / self.run_length

    def raised(self, kind: str, p_value: float | None, window: int) -> bool:
        """Whether this window's p-value begins an episode."""
        if p_value is None:
            return False
        held = self._open.get(kind, False)
        self._open[kind] = p_value <= (OVER if held else self.level(kind, window))
        return self._open[kind] and not held

    def exceeded(self, kind: str, score: float | None, threshold: float) -> bool:
        """Whether this score begins an episode."""
        held = self._open.get(kind, False)
        self._open[kind] = score is not None and score > threshold
        return self._open[kind] and not held

    def keep(self, alarm: Alarm) -> None:
        """Remember an alarm; the last 20 are kept."""
        self.count += 1
        self.alarms = [*self.alarms, alarm][-KEPT_MAX:]

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {"count": self.count, "open": self._open, "alarms": [asdict(alarm) for alarm in self.alarms]}

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        rule = cls(**config)
        rule.count, rule._open = state["count"], dict(state["open"])
        for held in state["alarms"]:
            words = tuple((word, change) for word, change in held["words"])
            rule.alarms.append(Alarm(**{**held, "words": words}))
        return rule
