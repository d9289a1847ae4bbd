"""The reservoir stays small, spreads over users and labels, and brings back what was learnt before."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from meta_learning.clrs import ClosedLoopSystem, Exchange, LoopSettings
from meta_learning.clrs.reservoir import Reservoir
from meta_learning.errors import MalformedState
from tests.core.clrs.streams import events, labelled


def filled(size: int, loud: int = 900, seed: int = 0) -> Reservoir:
    """A loud user and nine quiet ones, of whom every tenth piece is disliked."""
    kept = Reservoir(size, seed)
    exchanges = [Exchange(f"q{at}", "a", user_id="loud" if at < loud else f"u{at % 9}") for at in range(1000)]
    kept.add(exchanges, np.array([float(at % 10 != 0) for at in range(1000)]))
    return kept


def test_every_user_and_both_labels_keep_their_share_however_loud_one_is() -> None:
    kept = filled(200)
    sizes = Counter(piece.stratum for piece in kept.pieces)
    assert len(kept.pieces) == 200
    assert len(sizes) == 20
    assert max(sizes.values()) <= 90


def test_what_is_kept_is_a_sample_of_the_whole_past() -> None:
    kept = Reservoir(100)
    for start in range(0, 4000, 100):
        kept.add([Exchange(str(start + at), "a") for at in range(100)], np.ones(100))
    where = np.array([int(piece.input_text) for piece in kept.pieces])
    assert 1500 < where.mean() < 2500


def test_draws_and_state_are_the_same_again() -> None:
    kept = filled(50)
    again = Reservoir(50).load(kept.dump())
    assert again.dump() == kept.dump() == filled(50).dump()
    assert again.draw(7, 3)[0] == kept.draw(7, 3)[0]
    assert kept.draw(7, 3)[0] != kept.draw(7, 4)[0]
    assert Reservoir(50).draw(7, 3)[0] == []
    with pytest.raises(MalformedState):
        Reservoir(5).load(b"[1]")


def test_a_loop_with_a_reservoir_restores_to_the_same_bytes() -> None:
    settings = LoopSettings(cycle_size=20, probe_size=20, replay_size=60)
    feedback = events(labelled(200))
    whole, store = ClosedLoopSystem(settings=settings), dict[str, bytes]()
    for at, event in enumerate(feedback):
        whole.fold(event, f"{at + 1}-0")
        if at == 110:
            saved = whole.snapshot()
            store |= saved.blobs
            cut = ClosedLoopSystem.restore(saved.state, store.__getitem__, settings=settings)
    for at, event in enumerate(feedback[111:], start=111):
        cut.fold(event, f"{at + 1}-0")
    assert cut.snapshot().state == whole.snapshot().state
    assert len(whole.reservoir.pieces) == 60
