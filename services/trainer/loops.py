"""The loops of one partition: closed-loop systems restored on demand, folded forward, and put down as a commit.

Pure but for the injected store: entries in, a commit out. What it holds between two commits can be thrown away at any
moment and read back from the last one.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.errors import MalformedEvent, MalformedState, MetaLearningError, NotFound, StoreUnavailable
from meta_learning.events import CycleCompleted, Event, FeedbackReceived, ModelPromoted, PromoteModel, decode
from meta_learning.registry import Store
from meta_learning.registry.versions import Manifest, made_here, publish
from meta_learning.streams import Commit, Entry

NewSystem = Callable[[str], ClosedLoopSystem]
RestoreSystem = Callable[[str, bytes, Callable[[str], bytes]], ClosedLoopSystem]
VERSIONS_MAX = 100  # promoted versions that an operator can go back to; the registry and its lineage have all


@dataclass(slots=True)
class Loop:
    """One loop in memory. ``versions`` are the last promoted ones, oldest first: {version, manifest, content}.

    ``workspace`` holds its own blobs and nobody else's: new loops begin with equal ones, and what one of them lets go of, another
    may still need.
    """

    system: ClosedLoopSystem
    workspace: Store
    versions: list[dict[str, str]] = field(default_factory=list)
    blobs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Folded:
    """What folding a batch gave: the commit, what to forget once it has taken effect, and numbers for the metrics."""

    commit: Commit
    obsolete: Mapping[str, frozenset[str]]
    cycles: Sequence[CycleCompleted]
    feedback_count: int


class Loops:
    """All loops of a partition; at most ``loops_in_memory_max`` are held ready, the others lie in their last state."""

    def __init__(
        self,
        new: NewSystem,
        restore: RestoreSystem,
        workspace: Callable[[str], Store],
        registry: Store,
        loops_in_memory_max: int = 256,
    ) -> None:
        self._new, self._restore = new, restore
        self._workspace, self._registry = workspace, registry
        self._ready: OrderedDict[str, Loop] = OrderedDict()
        self._committed: dict[str, bytes] = {}
        self._ready_max = loops_in_memory_max

    def load(self, state: Mapping[str, bytes]) -> None:
        """Go back to a committed state; what was folded after it is forgotten."""
        self._ready.clear()
        self._committed = dict(state)

    def fold(self, entries: Sequence[Entry]) -> Folded:
        """Fold a batch in order. Weights are in the workspace when this returns, so the commit may name them.

        Raises:
            MalformedState: a loop's committed state cannot be read back; its entries are good, and wait until it can.
            StoreUnavailable: the workspace or the registry cannot be used now.
        """
        emitted: list[Event] = []
        parked: list[tuple[Entry, str]] = []
        pointers: dict[str, str] = {}
        dirty: dict[str, Loop] = {}
        for entry in entries:
            try:
                event = _read(entry)
            except MalformedEvent as error:
                parked.append((entry, str(error)))
                continue
            loop = self._loop(event.loop)
            try:
                said = self._fold_one(loop, event, entry.id)
            except (NotFound, MalformedState) as error:  # only a command raises, and it has changed nothing
                parked.append((entry, str(error)))
                continue
            dirty[event.loop] = loop
            emitted.extend(said)
            pointers.update(self._published(loop, said))
        state, obsolete = self._put_down(dirty)
        offsets, counts = {"feedback": entries[-1].id}, {"feedback": len(entries)}
        commit = Commit(state=state, offsets=offsets, counts=counts, emit=emitted, pointers=pointers, parked=parked)  # type: ignore[arg-type]
        cycles = [event for event in emitted if isinstance(event, CycleCompleted)]
        return Folded(commit, obsolete, cycles, len(entries) - len(parked))

    def committed(self, folded: Folded) -> None:
        """The commit took effect: remember its state, and let go of weights that nothing refers to any more."""
        self._committed.update({name: state for name, state in folded.commit.state.items() if state is not None})
        for name, digests in folded.obsolete.items():
            workspace = self._ready[name].workspace
            for digest in digests:
                workspace.delete(digest)
        while len(self._ready) > self._ready_max:
            self._ready.popitem(last=False)

    def _loop(self, name: str) -> Loop:
        if name not in self._ready:
            known = name in self._committed
            self._ready[name] = self._restored(name) if known else Loop(self._new(name), self._workspace(name))
        self._ready.move_to_end(name)
        return self._ready[name]

    def _restored(self, name: str) -> Loop:
        workspace = self._workspace(name)
        try:
            saved = json.loads(self._committed[name])
            system = self._restore(name, saved["system"].encode(), workspace.get)
            return Loop(system, workspace, saved["versions"], frozenset(system.blob_digests))
        except StoreUnavailable:
            raise
        except (MetaLearningError, KeyError, TypeError, ValueError) as error:
            raise MalformedState(f"loop {name}: its state cannot be read back: {error}") from error

    def _fold_one(self, loop: Loop, event: FeedbackReceived | PromoteModel, entry_id: str) -> list[Event]:
        def load_version(version: str) -> bytes:
            for known in loop.versions:
                if known["version"] == version:
                    return self._registry.get(known["content"])
            raise NotFound(f"loop {event.loop} never promoted a version {version}")

        return loop.system.fold(event, entry_id=entry_id, load_version=load_version)

    def _published(self, loop: Loop, said: Sequence[Event]) -> dict[str, str]:
        """Publish what was promoted to the registry, and say where the loop's model pointer goes."""
        promoted = [event for event in said if isinstance(event, ModelPromoted)]
        cycle = next((event for event in said if isinstance(event, CycleCompleted)), None)
        pointers = {}
        for event in promoted:
            known = next((item for item in loop.versions if item["version"] == event.version), None)
            if known is None:
                known = self._publish(loop, event, cycle)
                loop.versions = [*loop.versions, known][-VERSIONS_MAX:]
            pointers[f"model:{event.loop}"] = known["manifest"]
        return pointers

    def _publish(self, loop: Loop, event: ModelPromoted, cycle: CycleCompleted | None) -> dict[str, str]:
        content = self._registry.put(loop.system.champion_blob())
        parent = next((item["manifest"] for item in loop.versions if item["version"] == event.previous), None)
        manifest = Manifest(
            kind="model",
            loop=event.loop,
            version=event.version,
            content=content,
            parent=parent,
            cycle=cycle.cycle if cycle else None,
            numbers=dict(cycle.numbers) if cycle else {},
            made_with=made_here(),
        )
        return {"version": event.version, "manifest": publish(self._registry, manifest), "content": content}

    def _put_down(self, dirty: Mapping[str, Loop]) -> tuple[dict[str, bytes], dict[str, frozenset[str]]]:
        state: dict[str, bytes] = {}
        obsolete: dict[str, frozenset[str]] = {}
        for name, loop in dirty.items():
            snapshot = loop.system.snapshot()
            for blob in snapshot.blobs.values():
                loop.workspace.put(blob)
            refers = frozenset(loop.system.blob_digests)
            obsolete[name], loop.blobs = loop.blobs - refers, refers
            state[name] = json.dumps({"system": snapshot.state.decode(), "versions": loop.versions}).encode()
        return state, obsolete


def _read(entry: Entry) -> FeedbackReceived | PromoteModel:
    event = decode(entry.body)
    if not isinstance(event, FeedbackReceived | PromoteModel):
        raise MalformedEvent(f"a {event.type} has no business on the feedback stream")
    return event
