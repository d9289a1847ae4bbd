"""The fold of a loop: events of the log in, cycles and promotions out, and snapshots to go on from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np

from meta_learning.clrs.gating import evaluation
from meta_learning.clrs.gating.batch import Batch, batch_of
from meta_learning.clrs.gating.gates import Decision
from meta_learning.clrs.loop_monitor import LoopMonitor
from meta_learning.clrs.loop_state import LoopState, Snapshot, decoded, encoded
from meta_learning.clrs.models.loading import load_model
from meta_learning.clrs.models.port import Floats, Model
from meta_learning.clrs.models.text_model import OnlineTextModel
from meta_learning.clrs.settings import LoopSettings
from meta_learning.clrs.statistics import Moments
from meta_learning.errors import ConfigurationError, MalformedState, NotFound
from meta_learning.events import (
    CycleCompleted,
    Event,
    FeedbackReceived,
    ModelPromoted,
    PromoteModel,
    derived_id,
)
from meta_learning.registry import digest_of

ERROR_CHARS_MAX = 300


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
        self.settings = _settled(named, settings)
        self.monitor = LoopMonitor(self.settings)
        self._candidate: Model = OnlineTextModel() if model is None else model.copy()
        self._champion: Model | None = None
        self._state = LoopState()
        self._known: dict[str, str] = {}  # version -> digest of its blob, for what was dumped or loaded
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
        """
        if event.loop != self.loop:
            raise ConfigurationError(f"this is loop {self.loop!r}; the event belongs to {event.loop!r}")
        if isinstance(event, PromoteModel):
            return self._promote(event, load_version)
        self._state.pending.append((entry_id, event))
        self._state.counts["accepted"] += 1
        self._state.last_entry = entry_id
        if len(self._state.pending) < self.settings.cycle_size:
            return []
        return self._complete()

    @property
    def champion_version(self) -> str | None:
        """The version that answers now; None before the first promotion."""
        return self._champion.version() if self._champion is not None else None

    @property
    def candidate_version(self) -> str:
        """The version that learns now."""
        return self._candidate.version()

    def champion_blob(self) -> bytes:
        """The champion as `load_model` reads it back.

        Raises:
            NotFound: there is no champion yet.
        """
        if self._champion is None:
            raise NotFound(f"loop {self.loop!r} has no champion yet")
        return self._champion.dump()

    def _complete(self) -> list[Event]:
        state, previous = self._state, self._champion
        batch = batch_of([event for _, event in state.pending], self.settings.user_share_max)
        state.cycle += 1
        state.probe.extend(batch.pairs[: max(self.settings.probe_size - len(state.probe), 0)])
        evaluated = self._candidate
        constant = self._constant()
        found, decision = self._evaluate(batch, constant)
        learnt, decision = self._learn(batch, decision)
        if decision.outcome == "promoted":
            self._champion, state.evidence, state.holds = evaluated, [], 0
        numbers = decision.numbers | (
            evaluation.numbers_of(found, batch, constant) if found else {"constant": constant}
        )
        record = self._record(batch, learnt, replace(decision, numbers=numbers), found, previous, evaluated)
        state.counts["trained"] += record.trained_count
        state.counts["capped"] += record.capped_count
        state.counts["unlearnt"] += len(batch.pairs) - record.trained_count - record.capped_count
        state.feedback += Moments.of(batch.scores[batch.kept])
        state.pending = []
        self.monitor.observe(record, batch.exchanges)
        return [record] if decision.outcome != "promoted" else [record, self._gate_promotion(record)]

    def _evaluate(self, batch: Batch, constant: float) -> tuple[evaluation.Answers | None, Decision]:
        """Both models' answers and the gates' decision; a model that raises is rejected with its error."""
        state = self._state
        try:
            found = evaluation.answers(self._champion, self._candidate, batch, state.probe)
            # Before anything else: the record of a cycle holds scores in [0, 1] and nothing else.
            if refusal := evaluation.refusal_of(found):
                return None, Decision("rejected", (refusal,), {})
            if state.cycle == 1 and self._champion is None:
                return found, Decision("held", ("the candidate has learnt nothing yet",), {})
            if self._champion is not None and self._candidate.version() == self._champion.version():
                return found, Decision("held", ("the candidate is identical to the champion",), {})
        except Exception as error:  # noqa: BLE001  any model may be plugged in; whatever it raises rejects its cycle
            return None, Decision("rejected", (_sentence("predict", error),), {})
        recent = [*state.evidence, evaluation.evidence_of(found, batch, constant)]
        state.evidence = recent[-self.settings.window_cycles :]
        decision = evaluation.judge(found, state, self.settings)
        return found, self._after_holds(decision)

    def _after_holds(self, decision: Decision) -> Decision:
        """After enough holds in a row, a candidate that is surely worse by now starts again from the champion.

        One that is merely unproven learns on: starting it again would throw away what it has learnt since.
        """
        state = self._state
        if decision.outcome == "promoted" or self._champion is None:
            return decision
        state.holds += 1
        gains = sum((part.gains for part in state.evidence), start=Moments())
        if state.holds < self.settings.holds_max or gains.mean + self.settings.z * gains.error >= 0.0:
            return decision
        reason = f"after {state.holds} holds in a row and surely worse, the candidate starts again from the champion"
        state.holds, state.evidence = 0, []
        self._candidate = self._champion.copy()
        return replace(decision, reasons=(*decision.reasons, reason))

    def _learn(self, batch: Batch, decision: Decision) -> tuple[bool, Decision]:
        """Let a copy of the candidate learn, and take it if it still answers with numbers; else keep the state before."""
        pairs = batch.kept_pairs
        try:
            pupil = self._candidate.copy()
            pupil.learn(pairs, batch.scores[batch.kept])
            if not np.isfinite(np.asarray(pupil.predict(pairs))).all():
                raise FloatingPointError("after learning, the outputs are not all finite numbers")
            pupil.version()
        except Exception as error:  # noqa: BLE001  any model may be plugged in; whatever it raises rejects its cycle
            return False, replace(decision, outcome="rejected", reasons=(*decision.reasons, _sentence("learn", error)))
        self._candidate = pupil
        return True, decision

    def _record(
        self,
        batch: Batch,
        learnt: bool,
        decision: Decision,
        found: evaluation.Answers | None,
        champion: Model | None,
        evaluated: Model,
    ) -> CycleCompleted:
        state = self._state
        first, last = state.pending[0], state.pending[-1]
        return CycleCompleted(
            event_id=derived_id("cycle", self.loop, str(state.cycle), first[0], last[0]),
            occurred_at=last[1].occurred_at,
            loop=self.loop,
            cycle=state.cycle,
            first_entry=first[0],
            last_entry=last[0],
            events_count=len(batch.pairs),
            decision=decision.outcome,
            reasons=decision.reasons,
            numbers=decision.numbers,
            champion_version=champion.version() if champion is not None else None,
            candidate_version=evaluated.version(),
            feedback_scores=tuple(batch.scores.tolist()),
            predictions=_listed(found.champion if found else None),
            candidate_predictions=_listed(found.candidate if found else None),
            probe_champion=_listed(found.probe_champion if found else None),
            probe_candidate=_listed(found.probe_candidate if found else None),
            trained_count=len(batch.pairs) - batch.capped_count if learnt else 0,
            capped_count=batch.capped_count,
        )

    def _gate_promotion(self, record: CycleCompleted) -> ModelPromoted:
        return ModelPromoted(
            event_id=derived_id("promoted", record.event_id),
            occurred_at=record.occurred_at,
            loop=self.loop,
            version=str(record.candidate_version),
            previous=record.champion_version,
            cause="gate",
        )

    def _promote(self, command: PromoteModel, load_version: Callable[[str], bytes] | None) -> list[Event]:
        previous = self.champion_version
        if previous == command.version:
            return []
        if load_version is None:
            raise NotFound(f"version {command.version} is not the champion, and no store was given to load it from")
        champion = load_model(load_version(command.version), like=self._candidate)
        if champion.version() != command.version:
            raise MalformedState(f"what was stored as version {command.version} is version {champion.version()}")
        # The candidate goes back too: it descends from what the operator has just taken out of use.
        self._champion, self._candidate = champion, champion.copy()
        self._state.evidence, self._state.holds = [], 0
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
        return round(self._state.feedback.mean, 6) if self._state.feedback.count else 0.5

    # -- saving and going on ------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The whole state; models are dumped only when they changed since the last snapshot."""
        blobs: dict[str, bytes] = {}
        versions = {model.version(): self._digest(model, blobs) for model in self._models()}
        self._known = dict(versions)
        parts = dict(zip(("monitor", "references"), self.monitor.split(), strict=True)) | {
            "probe": self._state.probe_bytes()
        }
        digests = {name: digest_of(part) for name, part in parts.items()}
        blobs |= {digests[name]: part for name, part in parts.items()}
        data = {
            "loop": self.loop,
            "state": self._state.to_json(),
            "blobs": digests,
            "candidate": versions[self._candidate.version()],
            "champion": versions[self._champion.version()] if self._champion is not None else None,
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
            system._candidate = load(get_blob(data["candidate"]))
            same = data["champion"] == data["candidate"]
            if data["champion"] is not None:
                system._champion = load(get_blob(data["champion"])) if not same else system._candidate.copy()
            system._state = LoopState.from_json(data["state"], get_blob(data["blobs"]["probe"]))
            monitor, references = (get_blob(data["blobs"][name]) for name in ("monitor", "references"))
            system.monitor = LoopMonitor.joined(monitor, references, system.settings)
            system._known = dict(data["versions"])
            system._saved = {*data["blobs"].values(), *data["versions"].values()}
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedState(f"the loop's state is incomplete: {error!r}") from error
        return system

    def _models(self) -> list[Model]:
        return [self._candidate] if self._champion is None else [self._candidate, self._champion]

    def _digest(self, model: Model, blobs: dict[str, bytes]) -> str:
        version = model.version()
        if version not in self._known:
            blob = model.dump()
            self._known[version] = digest_of(blob)
            blobs[self._known[version]] = blob
        return self._known[version]


def _settled(named: dict[str, Any], settings: LoopSettings | None) -> LoopSettings:
    if settings is None:
        return LoopSettings(**named)
    plain = LoopSettings()
    for name, value in named.items():
        if value not in (getattr(plain, name), getattr(settings, name)):
            raise ConfigurationError(f"{name}={value} contradicts settings.{name}={getattr(settings, name)}")
    return settings


def _listed(scores: Floats | None) -> tuple[float, ...] | None:
    return None if scores is None else tuple(scores.tolist())


def _sentence(verb: str, error: Exception) -> str:
    return f"the model could not {verb}: {type(error).__name__}: {error}"[:ERROR_CHARS_MAX]
