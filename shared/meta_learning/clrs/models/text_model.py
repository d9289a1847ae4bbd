"""The default model: hashed text into a per-coordinate adaptive logistic regression, one sample at a time."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from meta_learning.clrs.models.features import FeatureSettings, PairFeatures, Rows
from meta_learning.clrs.models.port import Floats, Pair, digest_of_arrays
from meta_learning.errors import MalformedState

HEADER = b"MLTX1\n"
LOGIT_MAX = 30.0
MANTISSA = np.uint32(0xFFFFE000)  # keeps 10 of the 23 bits of a float32 mantissa
CALIBRATION_HALF = 200  # samples after which the calibration rate begins to fall
HALF = np.uint32(0x00001000)


@dataclass(frozen=True, slots=True)
class TextModelSettings:
    """``rate``: AdaGrad's learning rate. ``calibration_rate``: that of the two numbers which map logits to scores."""

    rate: float = 0.3
    calibration_rate: float = 0.01
    features: FeatureSettings = field(default_factory=FeatureSettings)


class OnlineTextModel:
    """AdaGrad logistic (Duchi et al. 2011) with soft labels on `PairFeatures`, and a running Platt calibration.

    A scalar score y is learnt as a label that is true with weight y and false with weight 1 - y. What is predicted for
    pairs before they are learnt also fits ``sigmoid(slope * logit + shift)``, so that a score of 0.7 means 0.7.
    Learnt numbers are kept to 10 bits of mantissa after each batch: a third of the bytes, and restoring is exact.

    Memory: 2 arrays of ``2 ** 18 + 64`` float32 = 2.1 MB a model (a loop holds two: champion and candidate), plus
    the features of the last two batches. Independent of how much was learnt.

    >>> model = OnlineTextModel()
    >>> for _ in range(3): model.learn([("fine day", "ok"), ("bad day", "ok")], np.array([1.0, 0.0]))
    >>> good, bad = model.predict([("fine day", "ok"), ("bad day", "ok")])
    >>> bool(good > 0.5 > bad)
    True
    """

    def __init__(self, settings: TextModelSettings | None = None, features: PairFeatures | None = None) -> None:
        self.settings = settings or TextModelSettings()
        self.features = features or PairFeatures(self.settings.features)
        self.weights = np.zeros(self.features.width, dtype=np.float32)
        self.squares = np.zeros(self.features.width, dtype=np.float32)
        self.calibration = np.array([1.0, 0.0, 0.0])  # slope, shift, samples that fitted them
        self._version: str | None = None

    def predict(self, pairs: Sequence[Pair]) -> Floats:
        """Expected scores; 0.5 for everything before anything is learnt."""
        if not pairs:
            return np.zeros(0)
        slope, shift, _ = self.calibration
        return np.asarray(_sigmoid(slope * self.features.rows(pairs).dot(self.weights) + shift), dtype=np.float64)

    def learn(self, pairs: Sequence[Pair], targets: Floats, weights: Floats | None = None) -> None:
        """One pass over ``pairs``, one update a pair."""
        if not pairs:
            return
        rows = self.features.rows(pairs)
        costs = np.ones(len(pairs)) if weights is None else weights
        self._calibrate(rows.dot(self.weights), targets, costs)
        self._descend(rows, targets, costs)
        touched = np.unique(rows.indices)
        self.weights[touched] = _rounded(self.weights[touched])
        self.squares[touched] = _rounded(self.squares[touched])
        self._version = None

    def _descend(self, rows: Rows, targets: Floats, costs: Floats) -> None:
        weights, squares, rate = self.weights, self.squares, np.float32(self.settings.rate)
        bounds = rows.starts.tolist()
        for row, (target, cost) in enumerate(zip(targets.tolist(), costs.tolist(), strict=True)):
            index = rows.indices[bounds[row] : bounds[row + 1]]
            value = rows.values[bounds[row] : bounds[row + 1]]
            here = weights[index]
            error = cost * (float(_sigmoid(np.float64((here * value).sum()))) - target)
            gradient = value * np.float32(error)
            total = squares[index] + gradient * gradient
            squares[index] = total
            weights[index] = here - rate * gradient / np.sqrt(total + np.float32(1e-8))

    def _calibrate(self, logits: Floats, targets: Floats, costs: Floats) -> None:
        slope, shift, count = self.calibration.tolist()
        for logit, target, cost in zip(logits.tolist(), targets.tolist(), costs.tolist(), strict=True):
            error = cost * (float(_sigmoid(np.float64(slope * logit + shift))) - target)
            rate = self.settings.calibration_rate / (1.0 + count / CALIBRATION_HALF) ** 0.5
            slope = min(max(slope - rate * error * logit, 0.05), 3.0)
            shift -= rate * error
            count += 1
        self.calibration = np.array([slope, shift, count])

    def copy(self) -> Self:
        """A twin that shares the (stateless) features and their memo, so that pairs are hashed once for both."""
        twin = type(self)(self.settings, self.features)
        twin.weights, twin.squares = self.weights.copy(), self.squares.copy()
        twin.calibration, twin._version = self.calibration.copy(), self._version
        return twin

    def version(self) -> str:
        """Digest of settings and arrays; computed once between two batches."""
        if self._version is None:
            kind = HEADER.decode() + json.dumps(asdict(self.settings), sort_keys=True)
            self._version = digest_of_arrays(kind, self.weights, self.squares, self.calibration)
        return self._version

    def dump(self) -> bytes:
        """Header, settings, then the buckets that were touched, byte planes apart (they compress better so)."""
        touched = np.flatnonzero(self.squares)
        gaps = np.diff(touched, prepend=0).astype("<u4")
        planes = [_planes(array) for array in (gaps, self.weights[touched], self.squares[touched])]
        about = {"settings": asdict(self.settings), "calibration": self.calibration.tolist(), "count": len(touched)}
        head = json.dumps(about, sort_keys=True).encode()
        return HEADER + struct.pack("<I", len(head)) + head + zlib.compress(b"".join(planes), 1)

    @classmethod
    def load(cls, blob: bytes, features: PairFeatures | None = None) -> Self:
        """Read `dump` back; ``features`` of another model with the same settings may be shared.

        Raises:
            MalformedState: ``blob`` is no such dump, or is damaged.
        """
        try:
            about, body = _unpacked(blob)
            known = dict(about["settings"])
            settings = TextModelSettings(**{**known, "features": FeatureSettings(**known["features"])})
            shared = features if features is not None and features.settings == settings.features else None
            model = cls(settings, shared)
            gaps, weights, squares = _parted(body, int(about["count"]))
            touched = np.cumsum(gaps.view("<u4"), dtype=np.int64)
            model.weights[touched] = weights.view("<f4")
            model.squares[touched] = squares.view("<f4")
            model.calibration = np.array(about["calibration"], dtype=np.float64)
        except (ValueError, KeyError, TypeError, IndexError, struct.error, zlib.error) as error:
            raise MalformedState(f"not a text model: {error}") from error
        return model


def _unpacked(blob: bytes) -> tuple[dict[str, Any], bytes]:
    if not blob.startswith(HEADER):
        raise ValueError("the header is missing")
    start = len(HEADER) + 4
    (length,) = struct.unpack("<I", blob[len(HEADER) : start])
    about = json.loads(blob[start : start + length])
    return about, zlib.decompress(blob[start + length :])


def _planes(array: np.ndarray[Any, Any]) -> bytes:
    """The bytes of 4-byte numbers with all first bytes first: sign and exponent repeat, the low bits are zero."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, 4).T.tobytes()


def _parted(body: bytes, count: int) -> list[np.ndarray[Any, Any]]:
    planes = np.frombuffer(body, dtype=np.uint8).reshape(3, 4, count)
    return [np.ascontiguousarray(part.T).reshape(-1) for part in planes]


def _rounded(numbers: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return ((numbers.view(np.uint32) + HALF) & MANTISSA).view(np.float32)


def _sigmoid(logits: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -LOGIT_MAX, LOGIT_MAX)))
