"""How a candidate learns one cycle: a copy does, and counts only if it can still answer."""

from __future__ import annotations

import numpy as np

from meta_learning.clrs.cycle import sentence
from meta_learning.clrs.gating.batch import Batch
from meta_learning.clrs.models.port import Model
from meta_learning.clrs.reservoir import Reservoir


def taught(start: Model, batch: Batch, reservoir: Reservoir, again: int, cycle: int) -> tuple[Model, str | None]:
    """A copy of ``start`` that has learnt what may train of ``batch``, and ``again`` pieces from the reservoir.

    ``start`` itself and a sentence, if the copy raised or can no longer answer with numbers.
    """
    pairs, targets = batch.kept_pairs, batch.scores[batch.kept]
    if not pairs:
        return start, None
    old_pairs, old_targets = reservoir.draw(again, cycle)
    try:
        pupil = start.copy()
        pupil.learn(pairs, targets)
        if old_pairs:
            pupil.learn(old_pairs, old_targets)
        if not np.isfinite(np.asarray(pupil.predict(pairs))).all():
            raise FloatingPointError("after learning, the outputs are not all finite numbers")
        pupil.version()
    except Exception as error:  # noqa: BLE001  any model may be plugged in; whatever it raises rejects its cycle
        return start, sentence("learn", error)
    if reservoir.size:
        kept = [exchange for exchange, keep in zip(batch.exchanges, batch.kept.tolist(), strict=True) if keep]
        reservoir.add(kept, targets)
    return pupil, None
