"""Drift of texts: can a window be told from the reference, by how much, and better than chance would?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from meta_learning.clrs.drift.permutation import permutation_test
from meta_learning.clrs.drift.text_reference import TextReference
from meta_learning.clrs.drift.text_sample import TextSample, moved_words
from meta_learning.clrs.estimate import Estimate
from meta_learning.errors import ConfigurationError

FOLDS = 5
EXPLAINED = 0.05  # p-value up to which moved words and segments are looked for
SURPRISES_MAX = 20  # windows back to which a change is dated
LEVEL_MIN = 1e-5  # 100,000 relabellings
SEGMENT_MIN = 10  # texts of a segment that can be named


class TextDrift:
    """``2 * AUROC - 1`` of a cross-fitted linear witness between reference and window; 0.3 is an AUROC of 0.65.

    The first ``reference_size`` texts are the reference (`TextReference`: half vocabulary, half sample), each later window is
    compared with it. Meanwhile the first half of these texts is an early reference of its own, so that the score begins early;
    it is forgotten when the whole one is full. For the score, texts become hashed words with inverse document frequencies of
    both samples together, the witness is the difference of the two means on four fifths, and ranks the last fifth. For the
    evidence, `permutation_test` adds words, style and novelty up: its p-value is exact under the null, texts drawn alike. It
    sees a tenth of a window replaced, which hardly moves the score.

    Memory: at most ``reference_size / 2 + window_size`` rows of 128 buckets of 2 bytes and 12 numbers, two bitmaps of 8 KB, and
    one word a bucket: below 0.4 MB, half as much again while both references are kept.

    >>> drift = TextDrift(reference_size=120, window_size=30)
    >>> drift.update([f"red apple {n % 7}" for n in range(60)])
    >>> drift.update([f"blue train {n % 7}" for n in range(30)])
    >>> drift.result().current, drift.p_value < drift.level, sorted(word for word, change in drift.moved if change > 0)
    (1.0, True, ['blue', 'train'])
    """

    def __init__(
        self, reference_size: int = 1000, window_size: int = 100, seed: int = 0, level: float = 0.0005
    ) -> None:
        if level < LEVEL_MIN:
            raise ConfigurationError(
                f"windows of {window_size} texts cannot be tested at {level:.1e}: shorten the run length"
            )
        if min(reference_size // 4, window_size) < FOLDS:
            raise ConfigurationError(f"reference_size / 4 and window_size must be at least {FOLDS}, one text a fold")
        self.reference_size, self.window_size, self.seed = reference_size, window_size, seed
        self.level = level  # the p-value that has to be told apart from larger ones
        self.windows = 0
        self.p_value: float | None = None
        self.surprise: float | None = None  # the evidence in standard deviations of its null
        self.moved: list[tuple[str, float]] = []  # words by the change of the share of texts with them, where p <= 0.05
        self.segment: dict[str, Any] | None = None
        self._whole = TextReference(reference_size)
        self._early: TextReference | None = TextReference(reference_size // 2)
        self._recent = TextSample()
        self._surprises: list[float] = []
        self._fresh = 0  # texts since the last comparison
        self._sure = False  # whether a window reached the level, and none was as if drawn alike since
        self._estimate = Estimate.collecting()

    def update(self, texts: Sequence[str], segments: Sequence[str | None] | None = None) -> None:
        """Fold a batch: into the reference until it is full, and into windows, each compared when full."""
        named = list(segments) if segments is not None else [None] * len(texts)
        taken = self._whole.fill(texts, named)
        if self._early is not None:
            self._fold(self._early, texts[:taken], named[:taken])
            if not self._whole.full:
                return
            # The other vocabulary described what is in the window, so it begins anew.
            self._early, self._recent, self._fresh = None, TextSample(), 0
        self._fold(self._whole, texts[taken:], named[taken:])

    def _fold(self, reference: TextReference, texts: Sequence[str], named: Sequence[str | None]) -> None:
        if not reference.full:
            taken = reference.fill(texts, named)
            self._estimate = Estimate.collecting(reference.count)
            texts, named = texts[taken:], named[taken:]
        if not texts:
            return
        kept = max(self.window_size, min(len(texts), self.reference_size))
        self._recent.add(texts[-kept:], named[-kept:], reference.vocabulary)  # of a long batch no more is looked at
        self._recent.keep(kept)
        self._fresh += len(texts)
        # Windows do not overlap: as many tests as windows, at one window's price, however small the batches are.
        if self._fresh >= self.window_size:
            self._fresh = 0
            self._compare(reference.sample)
            self._recent = TextSample()  # no later window has any of these

    def result(self) -> Estimate:
        """The score of the last full window."""
        return self._estimate

    @property
    def since_windows(self) -> int:
        """How many windows ago the change began: where the evidence above one standard deviation adds up to most."""
        sums = np.cumsum(np.array(self._surprises[::-1]) - 1.0)
        return int(sums.argmax()) + 1 if len(sums) else 0

    def _compare(self, reference: TextSample) -> None:
        self.windows += 1
        recent = self._recent
        rows, size, count = (reference.rows + recent.rows).weighted(), len(recent), len(reference)
        inside = np.arange(count + size) >= count
        places = placements(rows, inside)
        score = 2.0 * float(places.mean()) - 1.0
        error = 2.0 * math.sqrt((count + size + 1) / (12.0 * count * size))
        draws = np.random.default_rng([self.seed, self.windows])
        described = np.concatenate([reference.described, recent.described]).astype(np.float64)
        # A drift that was told for sure goes on: that it does needs no more than a rough p-value.
        level = None if self._sure else self.level
        self.p_value, self.surprise = permutation_test(rows, described, inside, draws, level)
        self._surprises = [*self._surprises, self.surprise][-SURPRISES_MAX:]
        self._estimate = Estimate.of(score, size, score - 1.96 * error, score + 1.96 * error)
        told = self.p_value <= EXPLAINED
        # One that was only suspected must still be told: a rough p-value never reaches the level.
        self._sure = self.p_value <= self.level or (self._sure and told)
        self.moved = moved_words(reference, recent) if told else []
        self.segment = strangest(places, recent.segments) if told else None

    def state(self) -> dict[str, Any]:
        """JSON; the reference, which no longer changes once full, lies in one field."""
        early = None if self._early is None else self._early.state()
        return {
            "reference": {"whole": self._whole.state(), "early": early},
            "recent": self._recent.state(),
            "windows": self.windows,
            "fresh": self._fresh,
            "p_value": self.p_value,
            "sure": self._sure,
            "surprises": self._surprises,
            "moved": [list(word) for word in self.moved],
            "segment": self.segment,
            "estimate": self._estimate.as_dict(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], **config: Any) -> Self:
        """Read `state` back; ``config`` as for the constructor."""
        drift, reference = cls(**config), state["reference"]
        drift._whole = TextReference.from_state(reference["whole"], drift.reference_size)
        early = reference["early"]
        drift._early = None if early is None else TextReference.from_state(early, drift.reference_size // 2)
        drift._recent = TextSample.from_state(state["recent"])
        drift.windows, drift._fresh, drift.p_value = state["windows"], state["fresh"], state["p_value"]
        drift._sure = state.get("sure", drift.p_value is not None and drift.p_value <= drift.level)
        drift._surprises = list(state["surprises"])
        drift.surprise = drift._surprises[-1] if drift._surprises else None
        drift.moved = [(word, change) for word, change in state["moved"]]
        drift.segment = state["segment"]
        drift._estimate = Estimate(**state["estimate"])
        return drift


def placements(rows: sparse.csr_matrix, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each window row, the share of held-out reference rows that the witness of the other folds ranks below it, ties half.

    Their mean is the area under the ROC curve.
    """
    folds = np.concatenate([np.arange(count) % FOLDS for count in (int((~inside).sum()), int(inside.sum()))])
    held = folds[:, None] == np.arange(FOLDS)
    learnt = {side: (inside == side)[:, None] & ~held for side in (True, False)}
    signs = learnt[True] / learnt[True].sum(axis=0) - learnt[False] / learnt[False].sum(axis=0)
    scores = np.round(rows @ (rows.T @ signs), 12)
    found = np.zeros(len(inside))
    for fold in range(FOLDS):
        below = np.sort(scores[held[:, fold] & ~inside, fold])
        mine = scores[held[:, fold] & inside, fold]
        ranks = np.searchsorted(below, mine, "left") + np.searchsorted(below, mine, "right")
        found[held[:, fold] & inside] = ranks / (2.0 * len(below))
    return found[inside]


def strangest(places: NDArray[np.float64], segments: Sequence[str | None]) -> dict[str, Any] | None:
    """The segment whose texts are told from the reference best, with its ``2 * AUROC - 1``."""
    found = []
    for name in sorted({segment for segment in segments if segment}):
        own = [place for place, segment in zip(places.tolist(), segments, strict=True) if segment == name]
        if len(own) >= SEGMENT_MIN:
            found.append((2.0 * math.fsum(own) / len(own) - 1.0, name, len(own)))
    if not found:
        return None
    score, name, count = max(found)
    return {"segment": name, "score": score, "n": count}
