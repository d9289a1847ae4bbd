"""The fold of a loop: events of the log in, cycles and promotions out, and snapshots to go on from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np

from meta_learning.clrs.beginner import Rivalry, begun
from meta_learning.clrs.cycle import Cycle, asked, asked_beside, perturbed, promotion
from meta_learning.clrs.gating import judging
from meta_learning.clrs.gating.batch import Batch, batch_of
from meta_learning.clrs.gating.evaluation import Answers, case_of
from meta_learning.clrs.gating.gates import Decision
from meta_learning.clrs.gating.judging import Docket
from meta_learning.clrs.gating.trust import TrustBook
from meta_learning.clrs.learning import PIECES, Lesson, judge_pupil, taught
from meta_learning.clrs.loop_models import LoopModels, version_of
from meta_learning.clrs.loop_monitor import LoopMonitor
from meta_learning.clrs.loop_state import LoopState, Snapshot, decoded, encoded
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.port import Model
from meta_learning.clrs.models.text_model import OnlineTextModel
from meta_learning.clrs.reservoir import Reservoir
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.statistics import Moments
from meta_learning.errors import ConfigurationError, MalformedState, NotFound
from meta_learning.events import CycleCompleted, Event, FeedbackReceived, ModelPromoted, PromoteModel, derived_id
from meta_learning.registry import digest_of


class FeedbackFold:
    """A loop's models, state and monitor as a deterministic fold; `ClosedLoopSystem` is what applications use."""

    def __init__(
        self,
        model: Model | None = None,
        cycle_size: int = 100,
        drift_threshold: float = 0.3,
        alignment_threshold: float = 0.7,
        *,
        loop: str = "default",
        probe_size: int = 200,
        seed: int = 0,
        settings: LoopSettings | None = None,
    ) -> None:
        named = {
            "cycle_size": cycle_size,
            "drift_threshold": drift_threshold,
            "alignment_threshold": alignment_threshold,
            "probe_size": probe_size,
            "seed": seed,
        }
        self.loop = loop
        self.settings = chosen = _settled(named, settings)
        self.monitor = LoopMonitor(chosen)
        self.models = LoopModels(OnlineTextModel() if model is None else model.copy())
        self.models.names()
        self.trust = TrustBook(chosen.users_max, chosen.trust_decay, chosen.trust_slack)
        self.reservoir = Reservoir(chosen.replay_size, chosen.seed)
        self._state = LoopState()
        self._saved: set[str] = set()  # digests that the last snapshot's reader has

    # -- the fold -----------------------------------------------------------------------------------------------------

    def fold(
        self,
        event: FeedbackReceived | PromoteModel,
        entry_id: str = "0-0",
        load_version: Callable[[str], bytes] | None = None,
    ) -> list[Event]:
        """Fold one event of the log; what it leads to: nothing, or the record of a cycle and perhaps a promotion.

        ``load_version`` gives the dumped bytes of a version that an operator wants promoted.

        Raises:
            ConfigurationError: the event belongs to another loop.
            NotFound: the version to promote cannot be had; nothing was changed.
            WorldError: a model of your own cannot say its version; nothing was changed, fold the event again later.
        """
        if event.loop != self.loop:
            raise ConfigurationError(f"this is loop {self.loop!r}; the event belongs to {event.loop!r}")
        if isinstance(event, PromoteModel):
            return self._promote(event, load_version)
        full = len(self._state.pending) + 1 >= self.settings.cycle_size
        names = self.models.names() if full else {}  # the one thing that may raise: before anything is changed
        self._state.pending.append((entry_id, event))
        self._state.counts["accepted"] += 1
        self._state.last_entry = entry_id
        return self._complete(names) if full else []

    @property
    def champion_version(self) -> str | None:
        """The version that answers now; None before the first promotion."""
        return version_of(self._champion) if self._champion is not None else None

    @property
    def candidate_version(self) -> str:
        """The version that learns now."""
        return version_of(self._candidate)

    def champion_blob(self) -> bytes:
        """The champion as `load_model` reads it back.

        Raises:
            NotFound: there is no champion yet.
        """
        blob = self.models.champion_blob()
        if blob is None:
            raise NotFound(f"loop {self.loop!r} has no champion yet")
        return blob

    @property
    def _champion(self) -> Model | None:
        return self.models.champion

    @property
    def _candidate(self) -> Model:
        return self.models.candidate

    def _complete(self, names: dict[str, str]) -> list[Event]:
        before = self._asked_of()
        cycle = self._asked(before, names)
        early = cycle.answers is not None and (self.models.champion is None or before.young)
        lesson = self._lesson(cycle, self.models.candidate, PIECES) if early else None
        if lesson is not None and (refused := judge_pupil(cycle, lesson, self._state.probe)):
            lesson = Lesson(self.models.candidate, trouble=refused)
        decision, after, error = cycle.decision, before.fresh(), None
        if cycle.answers is None:
            error = decision.reasons[0]
        else:
            champion, judged = cycle.versions.get("champion"), cycle.judged_version
            case = case_of(cycle.batch, cycle.answers, cycle.number, champion, judged)
            decision, after = judging.judge(case, before, self.settings)
        if lesson is None or decision.then == "rollback":
            lesson = self._lesson(cycle, self._teacher(decision))
        cycle.learnt = lesson.trouble is None
        if lesson.trouble is not None and error is None:
            error, decision = lesson.trouble, judging.failed(decision, lesson.trouble)
            after = after if decision.then == "rollback" else before
        cycle.decision, cycle.gate = decision, judging.gate_of(before, self.settings, error)
        record = cycle.record()
        cause = "gate" if decision.outcome == "promoted" else "rollback" if decision.then == "rollback" else None
        winner = {"gate": cycle.judged_version, "rollback": cycle.versions.get("shadow")}.get(cause or "")
        self._hand_over(cause, after, lesson.pupil, early)
        self._count(record, cycle.batch, after)
        self._renew(cycle)
        alarms = self.monitor.drift.rule.count
        self.monitor.observe(record, cycle.batch.exchanges)
        self._begin(self.monitor.drift.rule.count - alarms)
        return [record] if cause is None else [record, promotion(record, cause, str(winner))]

    def _renew(self, cycle: Cycle) -> None:
        """Let the beginner learn the cycle; it becomes the learner once it is surely better, and goes when its time is up."""
        models, state, found, kept = self.models, self._state, cycle.answers, cycle.batch.kept
        beginner, models.beginner = models.beginner, None
        if beginner is None or cycle.beginner is None or found is None:
            return
        learner = found.candidate if found.learner is None else found.learner
        state.rivalry = state.rivalry.after(learner[kept], cycle.beginner[kept], cycle.batch.scores[kept])
        lesson = taught(beginner, cycle.batch, ([], np.zeros(0)))
        if lesson.trouble is not None:
            return
        if state.rivalry.won(self.settings.gate_error):
            models.candidate = lesson.pupil
        elif state.rivalry.cycles < self.settings.beginner_cycles:
            models.beginner = lesson.pupil

    def _begin(self, alarms: int) -> None:
        """Begin anew beside the learner, if one of the last so many alarms says that what was learnt is wrong now."""
        models = self.models
        if alarms and models.beginner is None and self.settings.beginner_cycles:
            models.beginner = begun(models.candidate, self.monitor.drift.alarms[-alarms:])
            self._state.rivalry = Rivalry()

    def _lesson(self, cycle: Cycle, start: Model, pieces: int = 1) -> Lesson:
        """``start`` after the cycle."""
        again = round(self.settings.replay_share * int(cycle.batch.kept.sum())) if self.settings.replay_size else 0
        return taught(start, cycle.batch, self.reservoir.draw(again, cycle.number), pieces)

    def _asked_of(self) -> Docket:
        """What the gates know before the cycle that is full."""
        state = self._state
        state.cycle += 1
        return replace(state.docket, constant=state.constant(), counted=state.feedback.count)

    def _asked(self, before: Docket, names: dict[str, str]) -> Cycle:
        """The models' answers about the cycle that is full, and which of its events may count: nobody has learnt it yet."""
        state, chosen, models = self._state, self.settings, self.models
        events = [event for _, event in state.pending]
        pairs = [(event.input_text, event.output_text) for event in events]
        state.probe.extend(pairs[: max(chosen.probe_size - len(state.probe), 0)])
        found = asked(models, pairs, state.probe)
        refused = Decision("rejected", (found,), {"constant": before.constant}) if isinstance(found, str) else None
        answers = None if isinstance(found, str) else found
        batch = batch_of(events, chosen.user_share_max, self._distrusted(events, answers))
        due = state.cycle % chosen.perturb_cycles == 0 and len(state.probe) >= chosen.perturb_size
        return Cycle(
            loop=self.loop,
            number=state.cycle,
            pending=state.pending,
            batch=batch,
            versions={role: version for role, version in names.items() if role != "candidate"},
            judged_version=names.get("challenger", names["candidate"]),
            answers=answers,
            decision=refused or Decision("held", (), {}),
            gate={},
            control=asked_beside(models.control, pairs),
            beginner=asked_beside(models.beginner, pairs),
            perturbed=perturbed(models.champion, state.probe[: chosen.perturb_size]) if due else {},
        )

    def _distrusted(self, events: list[FeedbackReceived], found: Answers | None) -> set[str]:
        if found is None or (found.champion is None and self._state.cycle == 1):
            return set()
        predicted = found.champion if found.champion is not None else found.candidate
        scores = np.array([event.feedback_score for event in events])
        return self.trust.observe([event.user_id for event in events], predicted, scores, self._state.constant())

    def _teacher(self, decision: Decision) -> Model:
        """What the next candidate starts from."""
        models = self.models
        start = {"restart": models.champion, "rollback": models.shadow}.get(decision.then)
        return models.candidate if start is None else start

    def _hand_over(self, cause: str | None, after: Docket, pupil: Model, early: bool) -> None:
        """Give the parts to the models as was decided; ``early``: what was judged is the pupil."""
        models, before = self.models, self.models.champion
        judged = pupil if early else models.judged
        models.candidate = pupil
        if cause == "gate":
            models.champion = judged
        elif cause == "rollback":
            models.champion = models.shadow
        models.challenger = judged if after.cycles else None
        if after.baking is None:
            models.shadow = None
        elif cause == "gate" and after.baking.cycles == 0:
            # While a version bakes its shadow stays, and what is promoted meanwhile is judged against it too. Of a cycle that
            # nobody could answer or learn the baking knows nothing: its count stays at 0, with nothing promoted.
            models.shadow = before
        state = self._state
        due = models.control is None or state.cycle - state.control_since >= self.settings.control_cycles
        if due and not after.young:
            models.control, state.control_since = models.champion, state.cycle

    def _count(self, record: CycleCompleted, batch: Batch, after: Docket) -> None:
        state, left_out = self._state, record.capped_count + record.distrusted_count
        state.counts["trained"] += record.trained_count
        state.counts["capped"] += record.capped_count
        state.counts["distrusted"] += record.distrusted_count
        state.counts["unlearnt"] += record.events_count - record.trained_count - left_out
        state.feedback += Moments.of(batch.scores[batch.kept])
        if self.reservoir.size and record.trained_count:
            kept = zip(batch.exchanges, batch.kept.tolist(), strict=True)
            self.reservoir.add([exchange for exchange, keep in kept if keep], batch.scores[batch.kept])
        state.pending, state.docket = [], after

    def _promote(self, command: PromoteModel, load_version: Callable[[str], bytes] | None) -> list[Event]:
        previous, models = self.champion_version, self.models
        if previous == command.version:
            return []
        if load_version is None:
            raise NotFound(f"version {command.version} is not the champion, and no store was given to load it from")
        champion = load_model(load_version(command.version), like=models.candidate)
        if champion.version() != command.version:
            raise MalformedState(f"what was stored as version {command.version} is version {champion.version()}")
        # The candidate goes back too: it descends from what the operator has just taken out of use.
        models.champion, models.candidate = champion, champion.copy()
        models.challenger = models.shadow = models.beginner = None
        forgiven = tuple(version for version in self._state.docket.rolled_back if version != command.version)
        self._state.docket = replace(self._state.docket.crowned(), baking=None, rolled_back=forgiven, young=False)
        return [
            ModelPromoted(
                event_id=derived_id("promoted", command.event_id),
                occurred_at=command.occurred_at,
                loop=self.loop,
                version=command.version,
                previous=previous,
                cause="operator",
            )
        ]

    def _constant(self) -> float:
        return self._state.constant()

    # -- saving and going on ------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The whole state; models are dumped only when they changed since the last snapshot.

        Raises:
            WorldError: a model of your own cannot say its version, or cannot be dumped; try again later.
        """
        played, versions, blobs = self.models.save()
        parts = dict(zip(("monitor", "references"), self.monitor.split(), strict=True)) | {
            "probe": self._state.probe_bytes(),
            "trust": self.trust.dump(),
            "reservoir": self.reservoir.dump(),
        }
        digests = {name: digest_of(part) for name, part in parts.items()}
        blobs |= {digests[name]: part for name, part in parts.items()}
        data = {
            "loop": self.loop,
            "state": self._state.to_json(),
            "blobs": digests,
            "models": played,
            "versions": versions,
        }
        fresh = {digest: blob for digest, blob in blobs.items() if digest not in self._saved}
        self._saved = {*digests.values(), *versions.values()}
        return Snapshot(encoded(data), fresh, versions)

    @property
    def blob_digests(self) -> frozenset[str]:
        """All digests that the last snapshot refers to: what a store must not forget."""
        return frozenset(self._saved)

    @classmethod
    def restore(cls, state: bytes, get_blob: Callable[[str], bytes], **config: Any) -> Self:
        """Go on from a snapshot. ``config``: the arguments of the constructor (settings are not part of the state).

        ``load``: reads a model of your own back from its bytes; default `load_model`.

        Raises:
            MalformedState: the state or one of its blobs cannot be read.
        """
        load = config.pop("load", load_model)
        data = decoded(state)
        try:
            system = cls(**{**config, "loop": data["loop"], "model": None})
            parts = {name: get_blob(digest) for name, digest in data["blobs"].items()}
            system.models = LoopModels.load(data["models"], data["versions"], get_blob, load)
            system._state = LoopState.from_json(data["state"], parts["probe"])
            system.monitor = LoopMonitor.joined(parts["monitor"], parts["references"], system.settings)
            system.trust.load(parts["trust"])
            system.reservoir.load(parts["reservoir"])
            system._saved = {*data["blobs"].values(), *data["versions"].values()}
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedState(f"the loop's state is incomplete: {error!r}") from error
        return system


def _settled(named: dict[str, Any], settings: LoopSettings | None) -> LoopSettings:
    if settings is None:
        return LoopSettings(**named)
    plain = LoopSettings()
    for name, value in named.items():
        if value not in (getattr(plain, name), getattr(settings, name)):
            raise ConfigurationError(f"{name}={value} contradicts settings.{name}={getattr(settings, name)}")
    return settings
