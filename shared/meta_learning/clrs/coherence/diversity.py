"""How varied are the outputs? Told apart from coherence, because a collapsed model is perfectly consistent."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Sequence

import numpy as np
from scipy import sparse

WORD = re.compile(r"\w+")
VENDI_OUTPUTS = 50  # fixed: the score falls with the number of outputs that it is computed from (arXiv 2602.14682)


def diversity(outputs: Sequence[str], rows: sparse.csr_matrix) -> dict[str, float | None]:
    """Share of distinct word pairs, compressed over plain size, Vendi score: all fall when outputs repeat each other.

    >>> from meta_learning.clrs.coherence.words import buckets, weighted
    >>> said = ["good day sir", "good day sir"] * 25
    >>> found = diversity(said, weighted([buckets(output.split()) for output in said]))
    >>> found["distinct_2"], found["vendi"]
    (0.02, 0.02)
    """
    words = [WORD.findall(output.lower()) for output in outputs]
    pairs = [pair for found in words for pair in itertools.pairwise(found)]
    plain = "\n".join(outputs).encode()
    return {
        "distinct_2": len(set(pairs)) / len(pairs) if pairs else None,
        "zlib_ratio": min(len(zlib.compress(plain)) / len(plain), 1.0) if plain else None,
        "vendi": vendi(rows),
    }


def vendi(rows: sparse.csr_matrix) -> float | None:
    """Effective share of different outputs among the first 50, by the cosine of their words; None of fewer.

    ``exp(entropy of the eigenvalues of K / n) / n`` (Friedman & Dieng, arXiv 2210.02410): 1/50 when all are the same, 1 when no
    two share a word.
    """
    if rows.shape[0] < VENDI_OUTPUTS:
        return None
    few = rows[:VENDI_OUTPUTS]
    values = np.clip(np.linalg.eigvalsh((few @ few.T).toarray()), 0.0, None)
    total = values.sum()
    if total <= 0.0:
        return None
    shares = values[values > 1e-12] / total
    # Rounded: the last bits of an eigenvalue differ from one linear algebra library to the next.
    return round(float(np.exp(-(shares * np.log(shares)).sum())) / VENDI_OUTPUTS, 6)
