"""On which side of 0.5 the champion's probe answers lay in the last cycles, one bit an answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.port import Floats

ANSWERS_MAX = 2_000


class AnswerSides:
    """The last ``cycles_max`` cycles; begins anew when the probe grows.

    >>> sides = AnswerSides(cycles_max=2)
    >>> for answers in ([0.1, 0.9], [0.9, 0.9], [0.1, 0.9]):
    ...     sides.update(np.array(answers))
    >>> sides.rows.tolist()
    [[True, True], [False, True]]
    """

    def __init__(self, cycles_max: int) -> None:
        self.cycles_max = cycles_max
        self.rows: NDArray[np.bool_] = np.zeros((0, 0), dtype=bool)

    def update(self, answers: Floats) -> None:
        """Add one cycle's answers."""
        row = (answers[:ANSWERS_MAX] >= 0.5)[None, :]
        same = self.rows.shape[1] == row.shape[1]
        self.rows = np.concatenate([self.rows, row])[-self.cycles_max :] if same else row

    @property
    def is_full(self) -> bool:
        """Whether all cycles are there."""
        return len(self.rows) == self.cycles_max and self.rows.shape[1] > 0

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Which answers changed side from each cycle to the next."""
        return np.asarray(self.rows[1:] != self.rows[:-1])

    def state(self) -> list[str | int]:
        """JSON: the number of answers, then each row in hexadecimal."""
        return [self.rows.shape[1], *(np.packbits(row).tobytes().hex() for row in self.rows)]

    def restore(self, state: list[str | int]) -> None:
        """Go on from `state`."""
        size = int(state[0])
        rows = [np.unpackbits(np.frombuffer(bytes.fromhex(str(row)), dtype=np.uint8))[:size] for row in state[1:]]
        self.rows = np.array(rows, dtype=bool).reshape(len(rows), size)
