"""One cell of a feedback-loop study: settings in, plain JSON out, the same wherever and however often it runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.settings import LoopSettings
from meta_learning.experiments.loops.agreement import agreement
from meta_learning.experiments.loops.config import LoopCell
from meta_learning.experiments.loops.following import Followed, Way, ceiling, follow
from meta_learning.experiments.loops.measures import correct, correlations, measured, satisfaction, tenths
from meta_learning.experiments.loops.served import LOOP_SEED, Doors, ServedLoop
from meta_learning.experiments.loops.streams import Stream, stream_of
from meta_learning.utils.provenance import data_digest


def run_loop_cell(cell: LoopCell) -> dict[str, Any]:
    """The cell's result.

    Raises:
        NotFound, CallerError: the cell cannot be run: no such texts, or no two labels.
        ConfigurationError: a setting of the loop is out of bounds.
    """
    stream = stream_of(cell)
    way, settings = _way(cell, stream), _settings(cell, cell.seed)
    told = follow(ClosedLoopSystem(settings=settings), stream.interactions, way, cell.seed)
    return _plain(_result(cell, stream, told, way, settings.cycle_size))


def run_served_cell(cell: LoopCell, doors: Doors, attempts_max: int = 100) -> dict[str, Any]:
    """The same through the services behind ``doors``, in a loop of its own, then compared with the same events in process.

    A cell that was cut off begins again with another loop: what the first one was sent stays there.

    Raises:
        WorldError: a service is away for too long.
        NotFound, CallerError, ConfigurationError: as `run_loop_cell`.
    """
    stream = stream_of(cell)
    way = _way(cell, stream)
    with ServedLoop(doors, f"study-{cell.id[:16]}", attempts_max) as served:
        told = follow(served, stream.interactions, way, cell.seed)
        served.finish()
        told.counts = dict(served.get_system_summary()["counts"])
        here = ClosedLoopSystem(settings=_settings(cell, LOOP_SEED, served.cycle_size), loop=served.loop)
        found = _result(cell, stream, told, way, served.cycle_size)
    return _plain(found | {"loop": served.loop, "agreement": agreement(here, served.steps, told)})


def _way(cell: LoopCell, stream: Stream) -> Way:
    return Way(
        liked=stream.liked,
        candidates=stream.labels if cell.answers == "chosen" else (),
        answer=cell.texts.name,
        asked=cell.asked,
        by_chance=cell.asked_by == "chance",
    )


def _settings(cell: LoopCell, seed: int, cycle_size: int | None = None) -> LoopSettings:
    said: dict[str, Any] = dict(cell.settings) | ({} if cycle_size is None else {"cycle_size": cycle_size})
    return LoopSettings(seed=seed, **said)


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _result(cell: LoopCell, stream: Stream, told: Followed, way: Way, cycle_size: int) -> dict[str, Any]:
    chosen = bool(way.candidates)
    by_cycle = satisfaction(told, chosen)
    cycles = [line | {"satisfaction": one} for line, one in zip(told.cycles, by_cycle, strict=True)]
    wanted = np.array([one.satisfied_by(way.liked) for one in stream.interactions])
    best = None if chosen else tenths(correct(ceiling(stream.interactions, way), wanted))
    return {
        "format": 1,
        "id": cell.id,
        "cell": cell.model_dump(mode="json"),
        "arm": cell.arm,
        "world": cell.world,
        "data": data_digest([one._asdict() for one in stream.interactions]),
        "events": len(stream.interactions),
        "passes": stream.passes,
        "asked": told.asked_count,
        "labels": len(told.labelled),
        "numbers": measured(told, chosen, cycle_size) | {"correlations": correlations(told.cycles, by_cycle)},
        "ceiling": best,
        "cycles": cycles,
        "alarms": told.alarms,
    }
