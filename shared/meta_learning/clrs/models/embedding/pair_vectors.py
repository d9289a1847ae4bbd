"""What the head sees of a pair: both embeddings, their products and differences, and the input crossed with a short output."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meta_learning.clrs.models.embedding.encoder import Encoder, Vectors
from meta_learning.clrs.models.port import Pair

CROSS_WORDS_MAX = 4  # an output of at most so many words is a label or a short answer
CROSS_SLOTS = 16  # short outputs fall into so many slots; two in one slot are learnt together
MEMO_COUNT = 4  # batches: champion and candidate are asked about the same cycle and the same probe
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class PairRows:
    """``dense`` (n, 4 * width + 1): input, output, product, difference, 1. ``slots`` (n,): where the input is crossed, or -1."""

    dense: Vectors
    inputs: Vectors
    slots: NDArray[np.int64]


class PairVectors:
    """Encodes pairs and remembers the last few batches; one instance serves all copies of a model."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.dense_width = 4 * encoder.width + 1
        self.width = self.dense_width + CROSS_SLOTS * encoder.width
        self._memo: dict[tuple[Pair, ...], PairRows] = {}

    def rows(self, pairs: Sequence[Pair]) -> PairRows:
        """The vectors of ``pairs``, scaled so that a whole row has about length 1.

        Kept by whole batches: the last bits of an embedding depend on the texts that share its forward pass.
        """
        key = tuple(pairs)
        if (known := self._memo.get(key)) is not None:
            return known
        texts = sorted({text for pair in pairs for text in pair})
        places = {text: index for index, text in enumerate(texts)}
        vectors = self.encoder.encode(texts)
        asked, answered = (vectors[[places[pair[side]] for pair in pairs]] for side in (0, 1))
        spread = np.float32(self.encoder.width**0.5)  # a product of two unit vectors is that much shorter than they are
        level = np.full((len(pairs), 1), 0.2, dtype=np.float32)
        dense = np.hstack([asked, answered, asked * answered * spread, np.abs(asked - answered), level])
        found = self._memo[key] = PairRows(dense * np.float32(0.5), asked, _slots(pairs))
        for old in list(self._memo)[:-MEMO_COUNT]:
            self._memo.pop(old, None)
        return found


def _slots(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    words = [WORD.findall(output[:400].lower()) for _, output in pairs]
    return np.array(
        [zlib.crc32(" ".join(w).encode()) % CROSS_SLOTS if 0 < len(w) <= CROSS_WORDS_MAX else -1 for w in words],
        dtype=np.int64,
    )
