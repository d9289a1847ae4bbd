"""One cell of a feedback-loop study: settings in, plain JSON out, the same wherever and however often it runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from meta_learning.clrs import ClosedLoopSystem
from meta_learning.clrs.settings import LoopSettings
from meta_learning.experiments.loops.config import LoopCell
from meta_learning.experiments.loops.following import Followed, Way, ceiling, follow
from meta_learning.experiments.loops.measures import correct, correlations, measured, satisfaction, tenths
from meta_learning.experiments.loops.streams import Stream, stream_of
from meta_learning.utils.provenance import data_digest


def run_loop_cell(cell: LoopCell) -> dict[str, Any]:
    """The cell's result.

    Raises:
        NotFound, CallerError: the cell cannot be run: no such texts, or no two labels.
        ConfigurationError: a setting of the loop is out of bounds.
    """
    stream = stream_of(cell)
    way = Way(
        liked=stream.liked,
        candidates=stream.labels if cell.answers == "chosen" else (),
        answer=cell.texts.name,
        asked=cell.asked,
        by_chance=cell.asked_by == "chance",
    )
    said: dict[str, Any] = dict(cell.settings)
    system = ClosedLoopSystem(settings=LoopSettings(seed=cell.seed, **said))
    told = follow(system, stream.interactions, way, cell.seed)
    plain: dict[str, Any] = json.loads(json.dumps(_result(cell, stream, told, way, system.settings.cycle_size)))
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
