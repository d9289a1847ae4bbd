"""What a pair of texts consists of: hashed words and characters in four blocks, and a row of facts about both texts.

The hashing trick (Weinberger et al. 2009, arXiv 0902.2206) needs no vocabulary, so memory stays constant whatever comes in.
An output of at most four words is a label or a short answer. Then the blocks are: the input's words and its characters, both
joined with the whole output (the cross), the input's words alone, the output's words. Else: words and characters of either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from meta_learning.clrs.models.codepoints import Codes, Ints, Kinds
from meta_learning.clrs.models.port import Floats
from meta_learning.errors import ConfigurationError

CROSS_WORDS_MAX = 4
BLOCKS_COUNT = 4
LONG, SHORT = 0, 1
# Euclidean lengths of the blocks, by mode. After a label almost everything lies in the cross; the rest is kept small, for
# outputs that were never seen. Chosen on one shuffle of Sentiment140 (seed 0) and one of MLQE-PE ru-en.
LENGTHS = np.array([[0.18, 0.09, 0.18, 0.09], [1.0, 0.6, 0.03, 0.02]])
FACTS_COUNT = 40
MARKS = tuple(map(ord, ',.!?:"'))
# Odd 64-bit constants: digits of well-known irrationals and the finalizer of MurmurHash3.
STEP, JOIN = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
MIX_ONE, MIX_TWO = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
INPUT_SEED, OUTPUT_SEED, CROSS_SEED = 0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0
Singles: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Buckets: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class BagSettings:
    """``bits``: there are ``2 ** bits`` buckets. N-grams of 1 to ``words`` words; of ``chars_min`` to ``chars_max`` characters."""

    bits: int = 19
    words: int = 2
    chars_min: int = 3
    chars_max: int = 5

    def __post_init__(self) -> None:
        """Refuse what no memory holds, or what would hash nothing."""
        within = 3 <= self.bits <= 24 and 1 <= self.words <= 4 and 1 <= self.chars_min <= self.chars_max <= 8
        if not within:
            raise ConfigurationError(f"bits 3 to 24, words 1 to 4, characters 1 to 8, not {self}")


class Bags(NamedTuple):
    """Pairs as sparse rows: pair i holds entries ``starts[i]`` to ``starts[i + 1]``; within a pair no bucket occurs twice."""

    starts: Ints
    buckets: Buckets
    values: Singles
    blocks: Kinds
    modes: Kinds  # by pair: LONG or SHORT
    facts: Floats  # (pairs, FACTS_COUNT), about 0 to 1


class Texts(NamedTuple):
    """Pairs as code points: pair i's input is text 2i, its output text 2i + 1."""

    points: Codes
    starts: Ints
