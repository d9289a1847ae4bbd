"""What the monitor remembers of one loop, as plain bounded records: counts, last cycles, versions, prompts, evolution runs.

`LoopState` is a fold over the loop's events: the same events in the same order give the same state, whatever the clock says and
however they were batched. Times are those of the events.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from meta_learning.events import (
    CycleCompleted,
    Event,
    EvolutionCancelRequested,
    EvolutionCompleted,
    EvolutionProgressed,
    EvolutionRequested,
    FeedbackReceived,
    ModelPromoted,
    PromptPromoted,
)

CYCLES_MAX = 50
VERSIONS_MAX = 100
RUNS_MAX = 20
REASONS_MAX = 8
REASON_LENGTH_MAX = 300

RunState = Literal["requested", "running", "cancelling", "ended"]


class Cycle(BaseModel):
    """One training cycle as the page shows it; the three scores are those after it was folded."""

    cycle: int
    at: datetime
    decision: str
    reasons: list[str]
    numbers: dict[str, float | None]
    champion_version: str | None
    candidate_version: str | None
    events_count: int
    feedback_mean: float | None
    drift: float | None = None
    alignment: float | None = None
    coherence: float | None = None


class Version(BaseModel):
    """A model version that a cycle proposed, or that took over."""

    version: str
    cycle: int | None
    at: datetime
    decision: str


class Promotion(BaseModel):
    """A model or prompt version taking over from ``previous``."""

    version: str
    previous: str | None
    cause: str
    at: datetime


class Run(BaseModel):
    """One evolution run, from its request to its outcome."""

    run_id: str
    loop: str
    state: RunState = "requested"
    outcome: str | None = None
    asked_by: str = "operator"
    requested_at: datetime | None = None
    changed_at: datetime
    iteration: int = 0
    iterations_max: int | None = None
    seed_score: float | None = None
    best_score: float | None = None
    low: float | None = None
    high: float | None = None
    calls_count: int = 0
    message: str = ""
    reason: str = ""
    prompt_version: str | None = None


class LoopState(BaseModel):
    """The monitor's memory of one loop."""

    loop: str
    monitored_count: int = 0
    monitored_at: datetime | None = None
    trained_count: int = 0
    capped_count: int = 0
    distrusted_count: int = 0
    cycled_count: int = 0
    unscored_count: int = 0
    decisions: dict[str, int] = Field(default_factory=dict)
    promotions_count: dict[str, int] = Field(default_factory=dict)
    prompts_count: dict[str, int] = Field(default_factory=dict)
    outcomes: dict[str, int] = Field(default_factory=dict)
    champion: str | None = None
    prompt: str | None = None
    cycled_at: datetime | None = None
    cycles: list[Cycle] = Field(default_factory=list)
    versions: list[Version] = Field(default_factory=list)
    promotions: list[Promotion] = Field(default_factory=list)
    prompts: list[Promotion] = Field(default_factory=list)
    runs: list[Run] = Field(default_factory=list)

    def fold(self, event: Event) -> None:
        """Take one event into account; types that say nothing about a loop's course are ignored."""
        match event:
            case FeedbackReceived():
                self.monitored_count += 1
                self.monitored_at = event.occurred_at
            case CycleCompleted():
                self._cycle(event)
            case ModelPromoted():
                self._promoted(event)
            case PromptPromoted():
                self._prompt(event)
            case EvolutionRequested():
                self._requested(event)
            case EvolutionProgressed() | EvolutionCancelRequested() | EvolutionCompleted():
                self._run(event)

    def _cycle(self, event: CycleCompleted) -> None:
        scores = event.feedback_scores
        record = Cycle(
            cycle=event.cycle,
            at=event.occurred_at,
            decision=event.decision,
            reasons=[reason[:REASON_LENGTH_MAX] for reason in event.reasons[:REASONS_MAX]],
            numbers=dict(event.numbers),
            champion_version=event.champion_version,
            candidate_version=event.candidate_version,
            events_count=event.events_count,
            feedback_mean=sum(scores) / len(scores) if scores else None,
        )
        self.cycles = [*self.cycles, record][-CYCLES_MAX:]
        self.decisions[event.decision] = self.decisions.get(event.decision, 0) + 1
        self.trained_count += event.trained_count
        self.capped_count += event.capped_count
        self.distrusted_count += event.distrusted_count
        self.cycled_count += event.events_count
        self.cycled_at = event.occurred_at
        if event.candidate_version is not None:
            self._version(
                Version(
                    version=event.candidate_version, cycle=event.cycle, at=event.occurred_at, decision=event.decision
                )
            )

    def _version(self, version: Version) -> None:
        self.versions = [*(known for known in self.versions if known.version != version.version), version]
        if len(self.versions) > VERSIONS_MAX:
            # Candidates come with every cycle; a version that was in charge is worth more, so candidates go first.
            kept = self.promotable
            self.versions.remove(
                next((known for known in self.versions if known.version not in kept), self.versions[0])
            )

    def _promoted(self, event: ModelPromoted) -> None:
        self.champion = event.version
        self.promotions_count[event.cause] = self.promotions_count.get(event.cause, 0) + 1
        record = Promotion(version=event.version, previous=event.previous, cause=event.cause, at=event.occurred_at)
        self.promotions = [*self.promotions, record][-VERSIONS_MAX:]
        if all(known.version != event.version for known in self.versions):
            self._version(Version(version=event.version, cycle=None, at=event.occurred_at, decision="promoted"))

    def _prompt(self, event: PromptPromoted) -> None:
        self.prompt = event.version
        cause = "operator" if event.run_id is None else "evolution"
        self.prompts_count[cause] = self.prompts_count.get(cause, 0) + 1
        record = Promotion(version=event.version, previous=event.previous, cause=cause, at=event.occurred_at)
        self.prompts = [*self.prompts, record][-VERSIONS_MAX:]

    def _requested(self, event: EvolutionRequested) -> None:
        if all(run.run_id != event.run_id for run in self.runs):
            self._keep(
                Run(
                    run_id=event.run_id,
                    loop=self.loop,
                    asked_by=event.asked_by[:64],
                    requested_at=event.occurred_at,
                    changed_at=event.occurred_at,
                )
            )

    def _run(self, event: EvolutionProgressed | EvolutionCancelRequested | EvolutionCompleted) -> None:
        run = next((run for run in self.runs if run.run_id == event.run_id), None)
        if run is None:
            run = self._keep(Run(run_id=event.run_id, loop=self.loop, changed_at=event.occurred_at))
        run.changed_at = event.occurred_at
        match event:
            case EvolutionProgressed():
                run.state = "running" if run.state == "requested" else run.state
                run.iteration, run.iterations_max = event.iteration, event.iterations_max
                run.best_score, run.calls_count = event.best_score, event.calls_count
                run.message = event.message[:REASON_LENGTH_MAX]
            case EvolutionCancelRequested():
                run.state = "cancelling" if run.state != "ended" else run.state
            case EvolutionCompleted():
                self.outcomes[event.outcome] = self.outcomes.get(event.outcome, 0) + (run.state != "ended")
                run.state, run.outcome, run.reason = "ended", event.outcome, event.reason[:REASON_LENGTH_MAX]
                run.seed_score, run.low, run.high = event.seed_score, event.low, event.high
                run.best_score, run.calls_count = event.best_score, event.calls_count
                run.prompt_version = event.prompt_version

    def _keep(self, run: Run) -> Run:
        self.runs.append(run)
        if len(self.runs) > RUNS_MAX:
            ended = next((old for old in self.runs if old.state == "ended"), self.runs[0])
            self.runs.remove(ended)
        return run

    def rollback_target(self) -> str | None:
        """The version that the champion replaced when it first took over, so that repeated roll-backs walk further back.

        >>> from meta_learning.events import ModelPromoted, parse_time
        >>> said = {"event_id": "e", "occurred_at": parse_time("2026-01-02T03:04:05Z"), "loop": "support", "cause": "gate"}
        >>> state = LoopState(loop="support")
        >>> for version, previous in [("v1", None), ("v2", "v1"), ("v3", "v2"), ("v2", "v3")]:
        ...     state.fold(ModelPromoted(**said, version=version, previous=previous))
        >>> state.champion, state.rollback_target()
        ('v2', 'v1')
        """
        return next((known.previous for known in self.promotions if known.version == self.champion), None)

    @property
    def open_count(self) -> int:
        """Feedback that no cycle has claimed yet."""
        return self.monitored_count - self.cycled_count

    @property
    def unlearnt_count(self) -> int:
        """Feedback of cycles whose model could not learn: monitored = trained + capped + distrusted + unlearnt + open."""
        return self.cycled_count - self.trained_count - self.capped_count - self.distrusted_count

    @property
    def promotable(self) -> set[str]:
        """Versions that an operator may put in charge: those that were in charge before, the only ones that are kept."""
        return {known.version for known in self.promotions}
